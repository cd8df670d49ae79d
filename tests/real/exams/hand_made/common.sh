# What the hand-made pairs share: who this node is, and what an owner does by hand on the day a pair is set up.
# In front of the file of a pair, which has set_up (before the boot), and may have begin and standby (after it).
PATH=/sbin:/bin:/usr/sbin:/usr/bin
export PATH
case $(hostname -s) in
nas-a) OWN=198.51.100.11 SKEW=0 ;;
*) OWN=198.51.100.12 SKEW=100 ;;
esac
export OWN SKEW

# The program of the handbooks: devd calls it, and it moves storage and services with the addresses.
switch_program() {
	cat >/usr/local/sbin/carp-hast-switch <<-'END'
		#!/bin/sh
		# our own failover, since 2017
		export PATH=/sbin:/bin:/usr/sbin:/usr/bin
		case $1 in
		primary)
			logger -t carp-hast "becoming primary"
			hastctl role primary data || exit 1
			n=0
			until [ -c /dev/hast/data ] || [ $((n += 1)) -gt 30 ]; do sleep 1; done
			fsck -p -t ufs /dev/hast/data && mount -o noatime /dev/hast/data /data &&
				service nfsd onestart && service records onestart
			;;
		secondary)
			logger -t carp-hast "becoming secondary"
			service records onestop
			service nfsd onestop
			umount -f /data
			hastctl role secondary data
			;;
		esac
	END
	chmod 755 /usr/local/sbin/carp-hast-switch
}

# hastd does not give a role back after a boot: whoever set this up does it once, and his program from then on.
wait_for() {
	n=0
	until eval "$1"; do
		[ $((n += 1)) -le "${2:-60}" ] || { echo "in vain: $1"; exit 1; }
		sleep 1
	done
}

begin_ufs() {
	hastctl role primary data
	wait_for '[ -c /dev/hast/data ]'
	newfs -U /dev/hast/data >/dev/null
	mount -o noatime /dev/hast/data /data
	service nfsd onestart
	service records onestart
}
