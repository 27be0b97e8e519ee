/*
 * Scripts set sysctls of the namespace they run in, which the stack cannot see. Before each call
 * the plug-in looks which of them have changed and passes those on.
 */
#ifndef TIMEWAIT_PACKETDRILL_SETTINGS_H
#define TIMEWAIT_PACKETDRILL_SETTINGS_H

/* The names to follow, a line each (`net.ipv4.tcp_sack`); the text stays ours. */
void settings_begin(char *names);

void settings_follow(void);

#endif
