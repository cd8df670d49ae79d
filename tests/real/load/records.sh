#!/bin/sh
# records: what writes during the exams of hactl. Written to /usr/local/libexec/records on both nodes.
#   records answer       on standard input `WRITER NUMBER` a line; each is appended to DIR/WRITER and flushed with
#                        fsync(1), and only then `NUMBER ok NODE` is answered; anything else is `NUMBER no NODE`
#   records start        what a service does where the group is active: the same on TCP, one client at a time
#   records stop, status
# It keeps nothing open between two records, so that it is in nobody's way. A record begins with a newline: what a power
# cut leaves of an unfinished one cannot spoil the next.
PATH=/sbin:/bin:/usr/sbin:/usr/bin; export PATH
# A program takes 25 to 60 ms to start on an emulated node: this one starts as few as a small service would.
DIR=${RECORDS_DIR:-/data/records} PORT=${RECORDS_PORT:-7777} RUN=/var/run/records

answer() {
	NODE=$(hostname -s)
	while read -r writer number; do
		if [ -e "$RUN.on" ] && printf '\n%s %s %s .\n' "$writer" "$number" "$NODE" >>"$DIR/$writer" &&
			fsync "$DIR/$writer"; then
			echo "$number ok $NODE"
		else
			echo "$number no $NODE"
		fi
	done 2>/dev/null
}

case "$1" in
answer) answer ;;
serve)
	[ -p "$RUN.fifo" ] || mkfifo "$RUN.fifo" || exit 1
	while [ -e "$RUN.on" ]; do
		# shellcheck disable=SC2094 # a fifo: the answers go back to the client
		nc -l -w 10 "$PORT" <"$RUN.fifo" 2>/dev/null | answer >"$RUN.fifo"
	done
	;;
start)
	case "$(mount)" in
	*" on ${DIR%/*} ("*) ;;
	*) echo "${DIR%/*} is not mounted"; exit 1 ;;
	esac
	# All records were lost once whose directory was a few seconds old (docs/freebsd-facts.md#7.48).
	[ -d "$DIR" ] || { mkdir -p "$DIR" && fsync "$DIR" "${DIR%/*}"; } || exit 1
	: >"$RUN.on" || exit 1
	/usr/sbin/daemon -f -p "$RUN.pid" /bin/sh "$0" serve
	;;
stop)
	pid=
	[ ! -f "$RUN.pid" ] || read -r pid <"$RUN.pid"
	rm -f "$RUN.on" "$RUN.pid"
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	pkill -f "nc -l -w 10 $PORT"
	;;
status)
	pid=
	[ ! -f "$RUN.pid" ] || read -r pid <"$RUN.pid"
	if [ -e "$RUN.on" ] && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
		echo "records is running as pid $pid."
	else
		echo "records is not running."
		exit 1
	fi
	;;
esac
