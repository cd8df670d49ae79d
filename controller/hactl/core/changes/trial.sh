# A trial of this node's hastd, beside the one that runs, on a file and on addresses of this machine only: does a
# primary say anything on a connection that it was given? The hastd of FreeBSD 15.0 and 15.1 does not, and so never
# connects (docs/freebsd-facts.md#7.18). nc takes the connection and never answers, so that nothing is replicated; the
# role init takes the device along again. Whatever happens to this shell, timeout ends both programs in order.
hactl_hastd=$(stat -f '%i %z %Fm %Fc' /sbin/hastd) || exit 1
rm -rf /var/run/hactl.trial && mkdir -m 700 /var/run/hactl.trial || exit 1
cat >/var/run/hactl.trial/conf <<HACTL_END
control uds:///var/run/hactl.trial/control
listen uds:///var/run/hactl.trial/listen
timeout 5
resource hactl-trial {
	local /var/run/hactl.trial/disk
	on $(hostname) {
		remote tcp4://127.0.0.1:18457
	}
	on hactl-nobody {
		remote tcp4://127.0.0.1:18457
	}
}
HACTL_END
truncate -s 4m /var/run/hactl.trial/disk || exit 1
hastctl create -c /var/run/hactl.trial/conf hactl-trial || exit 1
timeout -k 2 60 nc -dlnv 127.0.0.1 18457 >/var/run/hactl.trial/came 2>&1 &
hactl_nc=$!
timeout -k 2 60 hastd -F -c /var/run/hactl.trial/conf -P /var/run/hactl.trial/pid >/var/run/hactl.trial/log 2>&1 &
hactl_daemon=$!
hactl_left=50
until [ -S /var/run/hactl.trial/control ] || [ "$hactl_left" -eq 0 ]; do
	hactl_left=$((hactl_left - 1))
	sleep 0.1
done
hastctl role -c /var/run/hactl.trial/conf primary hactl-trial
# The first words of a primary name its resource; a hastd that works says them within milliseconds.
hactl_left=40
until grep -q hactl-trial /var/run/hactl.trial/came || [ "$hactl_left" -eq 0 ]; do
	hactl_left=$((hactl_left - 1))
	sleep 0.2
done
hactl_lives=$(hastctl list -c /var/run/hactl.trial/conf hactl-trial | grep -c '^  workerpid: [0-9]')
hastctl role -c /var/run/hactl.trial/conf init hactl-trial
kill "$hactl_daemon" "$hactl_nc" 2>/dev/null
wait
if grep -q hactl-trial /var/run/hactl.trial/came; then
	hactl_says=works
elif [ "$hactl_lives" = 1 ] && grep -q '^Connection from 127\.0\.0\.1 ' /var/run/hactl.trial/came; then
	hactl_says=never
else
	echo "the trial does not tell whether hastd connects:"
	cat /var/run/hactl.trial/log /var/run/hactl.trial/came
	rm -rf /var/run/hactl.trial
	exit 1
fi
rm -rf /var/run/hactl.trial
umask 077
[ -d /var/db/hactl ] || { mkdir -p /var/db/hactl && fsync /var /var/db; } || exit 1
echo "$hactl_hastd $(sysctl -n kern.osrelease) $hactl_says" >/var/db/hactl/hastd.new &&
	fsync /var/db/hactl/hastd.new && mv -f /var/db/hactl/hastd.new /var/db/hactl/hastd && fsync /var/db/hactl &&
	echo "hastd connects: $hactl_says"
