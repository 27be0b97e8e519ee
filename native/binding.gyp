{
  "targets": [
    {
      "target_name": "timewait_native",
      "sources": ["src/addon.c", "src/checksum.c", "src/memory.c", "src/packet.c", "src/queue.c", "src/syscall.c", "src/tun.c"],
      "defines": ["NAPI_VERSION=8", "_GNU_SOURCE"],
      "cflags": ["-std=c11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden"]
    }
  ]
}
