// gVisor's netstack as Debian packages it (golang-gvisor-gvisor-dev), on a TUN device, with the services of
// peer.c: what the wire benchmarks compare with. Built and run by bench/wire; not part of the product.
//
//	gvisor DEVICE ADDRESS     DEVICE is made; prints a line when it is there
package main

import (
	"fmt"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	sink   = 5001
	source = 5002
	answer = 8000
	nic    = 1
)

func must(problem any) {
	if problem != nil {
		fmt.Fprintln(os.Stderr, problem)
		os.Exit(1)
	}
}

// What returns tcpip.Error: a nil of that type is no nil of `any`.
func allowed(problem tcpip.Error) {
	if problem != nil {
		must(problem)
	}
}

func openDevice(name string) int {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR, 0)
	must(err)
	var request [40]byte
	copy(request[:unix.IFNAMSIZ-1], name)
	*(*uint16)(unsafe.Pointer(&request[unix.IFNAMSIZ])) = unix.IFF_TUN | unix.IFF_NO_PI
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request[0])))
	if errno != 0 {
		must(errno)
	}
	return fd
}

// Linux's defaults where netstack leaves a choice: SACK, buffers that grow, TIME-WAIT of 60 s.
func configure(s *stack.Stack) {
	sack := tcpip.TCPSACKEnabled(true)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 8 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 4 << 20}
	timeWait := tcpip.TCPTimeWaitTimeoutOption(60 * time.Second)
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &receive, &send, &timeWait} {
		allowed(s.SetTransportProtocolOption(tcp.ProtocolNumber, option))
	}
}

func makeStack(device int, address tcpip.Address) *stack.Stack {
	link, err := fdbased.New(&fdbased.Options{FDs: []int{device}, MTU: 1500})
	must(err)
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	configure(s)
	allowed(s.CreateNIC(nic, link))
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: address.WithPrefix()}
	allowed(s.AddProtocolAddress(nic, own, stack.AddressProperties{}))
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	return s
}

func serve(s *stack.Stack, address tcpip.Address, port uint16, handle func(net.Conn)) {
	at := tcpip.FullAddress{NIC: nic, Addr: address, Port: port}
	listener, err := gonet.ListenTCP(s, at, ipv4.ProtocolNumber)
	must(err)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				handle(connection)
			}()
		}
	}()
}

func main() {
	if len(os.Args) != 3 {
		must("usage: gvisor DEVICE ADDRESS")
	}
	address := tcpip.Address(net.ParseIP(os.Args[2]).To4())
	s := makeStack(openDevice(os.Args[1]), address)
	serve(s, address, sink, func(c net.Conn) {
		page := make([]byte, 1<<18)
		for {
			if _, err := c.Read(page); err != nil {
				return
			}
		}
	})
	serve(s, address, source, func(c net.Conn) {
		page := make([]byte, 1<<18)
		for {
			if _, err := c.Write(page); err != nil {
				return
			}
		}
	})
	serve(s, address, answer, func(c net.Conn) {
		var request [16]byte
		if _, err := c.Read(request[:]); err == nil {
			c.Write([]byte("y"))
		}
	})
	fmt.Println("ready", os.Args[1])
	select {}
}
