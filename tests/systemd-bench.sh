#!/usr/bin/env bash
# systemd-bench.sh - run one command inside a freshly booted, private, REAL systemd.
#
# The systemd that is booted is the host's own /lib/systemd/systemd, as PID 1 of new
# pid/mount/cgroup/uts/ipc/net namespaces. Its root is an overlay: lower = the host's "/"
# (read-only), upper = a tmpfs that vanishes at the end. So everything installed on the host is
# visible inside, and nothing written inside reaches the host, except under --bind.
# No docker, no debootstrap, no systemd-nspawn; the host's PID 1 need not be systemd.
#
#   systemd-bench.sh [options] -- COMMAND [ARG...]
#
#   --copy SRC:DST    copy SRC (file or folder) to DST inside, before boot (repeatable)
#   --bind SRC:DST    bind-mount SRC read-write: the only way to write to the host (repeatable)
#   --show SRC:DST    the same, read-only (repeatable)
#   --setup SHELL     run `bash -c SHELL` in the new root before systemd starts (repeatable)
#   --timeout SEC     for COMMAND (default 300)
#   --check           only say whether this machine has what is needed; run nothing
#
# Exit: COMMAND's own status; 124 COMMAND timed out; 125 could not boot; 2 usage; 3 a
# requirement is missing (named on stderr). COMMAND runs as root with the caller's environment,
# working directory, stdin, stdout and stderr.
#
# Needs root with CAP_SYS_ADMIN, a mounted cgroup2 (and, where the host has bound controllers to
# cgroup v1, its hierarchies with name=systemd), overlayfs in the kernel, and the Debian packages
# systemd, dbus, libnss-systemd, mount, util-linux, coreutils, findutils, mawk, bash. It installs
# nothing: --check names what is missing.
#
# Worth knowing:
#  - Inside is seen what lies on the host's root file system; other mounts need --bind or --show.
#    /run, /dev and /etc/systemd/system are new and empty; /tmp shows the host's, writes stay inside.
#  - Writes go to a tmpfs, and tmpfs pages count against the MemoryMax= of the unit that writes them.
#  - Under cgroup v1 MemoryMax=, TasksMax=, CPUQuota= work; MemoryHigh=, OOMPolicy= and
#    Result=oom-kill do not (a unit killed at MemoryMax= ends with Result=signal).
set -u -o pipefail
SELF=$(readlink -f "${BASH_SOURCE[0]}")
SYSTEMD=/lib/systemd/systemd
PACKAGES="systemd dbus libnss-systemd mount util-linux coreutils findutils mawk bash"

say()  { printf 'systemd-bench: %s\n' "$*" >&2; }

# ---------------------------------------------------------------------------------------------
# Stage 2: inside the new namespaces, as PID 1 of the new pid namespace. Builds the root, execs.
# ---------------------------------------------------------------------------------------------
if [ "${1:-}" = --stage2 ]; then
  set -e
  W=$2
  # shellcheck disable=SC1090
  . "$W/config"
  [ "$$" -eq 1 ] || { say "stage 2 is not PID 1 of its own namespace; refusing"; exit 125; }
  # Still the host's /proc here, so this is our pid as the host sees it.
  read -r hostpid _ < /proc/self/stat
  [ "$hostpid" -ne 1 ] || { say "would be the host's PID 1; refusing"; exit 125; }
  [ "$(readlink /proc/self/ns/mnt)" != "$HOST_MNT_NS" ] || { say "mount namespace is not private; refusing"; exit 125; }
  echo "$hostpid" > "$W/initpid.tmp" && mv "$W/initpid.tmp" "$W/initpid"

  mount -n --make-rprivate /
  mount -n -t tmpfs -o mode=0755 tmpfs /run      # mount(8) keeps notes in /run/mount: not the host's
  T=$W/t
  mount -t tmpfs -o size=2g,mode=0755 systemd-bench "$T"
  mkdir "$T/upper" "$T/work" "$T/root"
  chmod 0755 "$T/upper"
  mount -t overlay -o "lowerdir=/,upperdir=$T/upper,workdir=$T/work" systemd-bench "$T/root"
  R=$T/root

  # /proc of the new pid namespace; what is machine-wide in it is read-only.
  mount -t proc -o nosuid,nodev,noexec proc "$R/proc"
  ro() { mount --bind "$1" "$1" && mount -o remount,bind,ro,nosuid,nodev,noexec "$1"; }
  for p in sys sysrq-trigger irq bus fs; do [ -e "$R/proc/$p" ] && ro "$R/proc/$p"; done
  cat /proc/sys/kernel/random/uuid > "$T/boot_id"
  mount --bind "$T/boot_id" "$R/proc/sys/kernel/random/boot_id"
  mount -o remount,bind,ro "$R/proc/sys/kernel/random/boot_id"

  # /sys read-only (per mount: the superblock may be the host's), the cgroup tree read-write.
  mount -t sysfs -o nosuid,nodev,noexec sysfs "$R/sys"
  mount -o remount,bind,ro,nosuid,nodev,noexec "$R/sys"
  if [ "$CGMODE" = unified ]; then
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$R/sys/fs/cgroup"
  else
    mount -t tmpfs -o mode=0755,nosuid,nodev,noexec,size=1m tmpfs "$R/sys/fs/cgroup"
    mkdir "$R/sys/fs/cgroup/unified"
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$R/sys/fs/cgroup/unified"
    for c in $V1; do      # "cpu" "cpu,cpuacct" "memory" ... "name=systemd"
      d=$R/sys/fs/cgroup/${c#name=}
      mkdir "$d"
      case $c in name=*) o=none,$c ;; *) o=$c ;; esac
      mount -t cgroup -o "nosuid,nodev,noexec,$o" cgroup "$d"
      case $c in *,*) for l in ${c//,/ }; do ln -s "$c" "$R/sys/fs/cgroup/$l"; done ;; esac
    done
  fi

  # A small /dev: no disks, no /dev/kmsg.
  mount -t tmpfs -o mode=0755,nosuid,size=4m,strictatime tmpfs "$R/dev"
  mkdir "$R/dev/pts" "$R/dev/shm" "$R/dev/mqueue" "$R/dev/hugepages"
  while read -r n maj min; do mknod -m 0666 "$R/dev/$n" c "$maj" "$min"; done <<'DEV'
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
DEV
  [ -e /dev/fuse ] && mknod -m 0666 "$R/dev/fuse" c 10 229
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5,nosuid,noexec devpts "$R/dev/pts"
  mount -t tmpfs -o mode=1777,nosuid,nodev,size=512m tmpfs "$R/dev/shm"
  ln -s pts/ptmx "$R/dev/ptmx"; ln -s /proc/self/fd "$R/dev/fd"
  ln -s fd/0 "$R/dev/stdin"; ln -s fd/1 "$R/dev/stdout"; ln -s fd/2 "$R/dev/stderr"
  : > "$R/dev/console"; mount --bind "$R/dev/null" "$R/dev/console"

  mount -t tmpfs -o mode=0755,nosuid,nodev,size=512m tmpfs "$R/run"
  mkdir -p "$R/run/lock" "$R/run/host"; chmod 1777 "$R/run/lock"

  # The configuration is the distribution's own: nothing the host's administrator enabled.
  mount -t tmpfs -o mode=0755,nosuid,nodev,size=16m tmpfs "$R/etc/systemd/system"
  mkdir -p "$R/etc/systemd/system/multi-user.target.wants"
  for u in $MASK; do ln -sf /dev/null "$R/etc/systemd/system/$u"; done
  rm -f "$R/etc/fstab" "$R/etc/machine-id"; : > "$R/etc/fstab"
  tr -d - < /proc/sys/kernel/random/uuid > "$R/etc/machine-id"
  echo systemd-bench > "$R/etc/hostname"
  mkdir -p "$R/etc/systemd/journald.conf.d" "$R/etc/tmpfiles.d"
  printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToConsole=no\nForwardToWall=no\n' \
    > "$R/etc/systemd/journald.conf.d/zz-systemd-bench.conf"
  ln -sf /dev/null "$R/etc/tmpfiles.d/tmp.conf"           # else /tmp looks emptied inside
  rm -rf "$R/var/log/journal" 2>/dev/null || true

  # A shell rc file cannot be relied on: one array per option, in the config file.
  for b in "${BIND[@]}"; do
    src=${b%%:*}; dst=${b#*:}
    src=$(readlink -f "$src")
    if [ -d "$src" ]; then mkdir -p "$R$dst"; else mkdir -p "$R$(dirname "$dst")"; [ -e "$R$dst" ] || : > "$R$dst"; fi
    mount --bind "$src" "$R$dst"
  done
  for b in "${SHOW[@]}"; do
    mkdir -p "$R${b#*:}"
    mount --bind "$(readlink -f "${b%%:*}")" "$R${b#*:}"
    mount -o remount,bind,ro "$R${b#*:}"
  done
  for c in "${COPY[@]}"; do mkdir -p "$R$(dirname "${c#*:}")"; cp -aT "${c%%:*}" "$R${c#*:}"; done
  # stage 2's mounts are done; switch the root for good
  cd "$R"
  mkdir -p .host
  pivot_root . .host
  cd /
  umount -l /.host
  rmdir /.host
  # Shared among the inner namespaces only (this tree has no peer on the host): LoadCredential= needs
  # it, and systemd leaves it to the container manager.
  mount --make-rshared /
  for s in "${SETUP[@]}"; do bash -c "$s"; done
  exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
  exec env -i container=systemd-bench PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 TERM=dumb "$SYSTEMD" --system --unit=multi-user.target --show-status=no --log-level=info
  exit 125
fi

# ---------------------------------------------------------------------------------------------
# Stage 1: on the host.
# ---------------------------------------------------------------------------------------------
COPY=() BIND=() SHOW=() SETUP=()
CGMODE=unified TIMEOUT=300 BOOT_TIMEOUT=60 STOP_TIMEOUT=20 CHECK=''
usage() { sed -n '2,/^set -u/p' "$SELF" | sed -n 's/^# \{0,1\}//p'; }
die2() { say "$*"; say "see --help"; exit 2; }
need_value() { [ "$#" -ge 2 ] || die2 "$1 needs a value"; }
while [ $# -gt 0 ]; do
  case $1 in
    --) shift; break ;;
    -h|--help) usage; exit 0 ;;
    --check) CHECK=1; shift; continue ;;
    -*) need_value "$@" ;;
    *) break ;;
  esac
  case $1 in
    --copy) case $2 in ?*:/?*) ;; *) die2 "--copy wants SRC:/DST" ;; esac
            [ -e "${2%%:*}" ] || die2 "no such path: ${2%%:*}"
            COPY+=("$(readlink -f "${2%%:*}"):${2#*:}") ;;
    --bind|--show) case $2 in ?*:/?*) ;; *) die2 "$1 wants SRC:/DST" ;; esac
            [ -d "${2%%:*}" ] || die2 "no such folder: ${2%%:*}"
            if [ "$1" = --bind ]; then BIND+=("$2"); else SHOW+=("$2"); fi ;;
    --setup) SETUP+=("$2") ;;
    --timeout) TIMEOUT=$2 ;;
    *) die2 "unknown option $1" ;;
  esac
  shift 2
done
[[ $TIMEOUT =~ ^[0-9]+$ ]] || die2 "not a whole number of seconds: $TIMEOUT"
[ -n "$CHECK" ] || [ $# -gt 0 ] || die2 "no COMMAND given"

# --- requirements, all of them at once ---
missing=()
[ "$(id -u)" -eq 0 ] || missing+=("root")
[ -x "$SYSTEMD" ] || missing+=("$SYSTEMD (package systemd)")
for t in systemctl:systemd journalctl:systemd unshare:util-linux nsenter:util-linux setpriv:util-linux \
         mount:mount pivot_root:util-linux timeout:coreutils awk:mawk dbus-daemon:dbus-daemon; do
  command -v "${t%%:*}" >/dev/null || missing+=("${t%%:*} (package ${t#*:})")
done
[ -e /usr/share/dbus-1/system.conf ] || missing+=("the system bus (package dbus)")
grep -qw overlay /proc/filesystems || { command -v modprobe >/dev/null && modprobe overlay 2>/dev/null; grep -qw overlay /proc/filesystems; } \
  || missing+=("overlayfs in the kernel")
capeff=$((16#$(sed -n 's/^CapEff:\t//p' /proc/self/status)))
(( capeff >> 21 & 1 )) || missing+=("CAP_SYS_ADMIN")

# --- which cgroup hierarchies does this machine offer? "mountpoint controllers" ---
V2MNT=$(awk '$3=="cgroup2"{print $2; exit}' /proc/self/mounts)
V1LIST=()                                # entries "controllers mountpoint"
while read -r _ mnt fs opts _; do
  [ "$fs" = cgroup ] || continue
  # every v1 hierarchy, so that none shows the host's root inside
  c=$(tr , '\n' <<<"$opts" | grep -Ex 'cpu|cpuacct|cpuset|memory|devices|freezer|pids|blkio|hugetlb|perf_event|net_cls|net_prio|rdma|misc|name=systemd' | paste -sd,)
  [ -n "$c" ] && V1LIST+=("$c $mnt")
done < /proc/self/mounts
[ -n "$V2MNT" ] || missing+=("a cgroup2 mount")
case " ${V1LIST[*]-} " in *memory*) CGMODE=hybrid ;; esac
if [ "$CGMODE" = hybrid ]; then
  case " ${V1LIST[*]-} " in *name=systemd*) ;; *) missing+=("a cgroup v1 mount name=systemd") ;; esac
fi
if [ ${#missing[@]} -gt 0 ]; then
  say "this machine lacks: $(printf '%s; ' "${missing[@]}")"
  say "Debian packages needed: $PACKAGES (nothing is installed by this script)"
  exit 3
fi
if [ -n "$CHECK" ]; then
  echo "ok: $($SYSTEMD --version | head -n1), kernel $(uname -r), cgroup mode $CGMODE${V1LIST:+ (v1: $(printf '%s ' "${V1LIST[@]%% *}"))}"
  exit 0
fi

# --- what is not wanted inside, whatever the host has ---
MASK="getty.target console-getty.service getty-static.service systemd-logind.service
 systemd-networkd.service systemd-networkd.socket systemd-resolved.service systemd-timesyncd.service
 systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket
 systemd-udev-trigger.service systemd-udev-settle.service
 systemd-modules-load.service kmod-static-nodes.service systemd-sysctl.service systemd-binfmt.service
 proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount
 sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount
 dev-hugepages.mount systemd-remount-fs.service systemd-random-seed.service
 systemd-journald-audit.socket systemd-journal-flush.service systemd-initctl.socket
 systemd-firstboot.service systemd-sysusers.service systemd-machine-id-commit.service
 systemd-update-done.service systemd-hwdb-update.service systemd-journal-catalog-update.service ldconfig.service
 systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-pstore.service
 systemd-repart.service systemd-pcrphase.service systemd-pcrphase-sysinit.service
 systemd-ask-password-console.path systemd-ask-password-wall.path
 systemd-tmpfiles-clean.timer systemd-oomd.service systemd-oomd.socket"

# --- clean up, always ---
W='' UNSHARE_PID='' INITPID='' CMD='' CGS=()
alive() { [ -n "${1:-}" ] && [ -d "/proc/$1" ] && ! grep -q '^State:[[:space:]]Z' "/proc/$1/status" 2>/dev/null; }
rmcg() { [ -d "$1" ] && find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; [ ! -d "$1" ]; }
# never rm -r: only what this script puts there
drop_dir() { rm -f "$1/config" "$1/initpid" "$1/initpid.tmp" "$1/log"; rmdir "$1/t" "$1" 2>/dev/null; }
cleanup() {
  trap - EXIT
  trap '' INT TERM HUP
  # INITPID is the PID 1 of the namespace made here: killing it ends everything inside.
  if alive "$INITPID" && [ "$INITPID" -ne 1 ] && [ "$(readlink "/proc/$INITPID/ns/pid")" != "$(readlink /proc/self/ns/pid)" ]; then
    kill -KILL "$INITPID" 2>/dev/null
  fi
  # COMMAND dies with the namespace, and nsenter, its parent, then reaps it and ends
  [ -n "$CMD" ] && wait "$CMD" 2>/dev/null
  [ -n "$UNSHARE_PID" ] && { kill -KILL "$UNSHARE_PID" 2>/dev/null; wait "$UNSHARE_PID" 2>/dev/null; }
  local g i
  for g in "${CGS[@]-}"; do
    [ -n "$g" ] || continue
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do rmcg "$g" && break; sleep 0.1; done
    [ -d "$g" ] && say "left behind: $g"
  done
  [ -n "$W" ] && [ -d "$W" ] && { drop_dir "$W" || say "left behind: $W"; }
}
RC=125
trap 'cleanup; exit $RC' EXIT
trap 'RC=130; exit 130' INT
trap 'RC=143; exit 143' TERM HUP

# leftovers of runs that were killed outright (their pid, in the name, is gone)
parent_of() { # controllers-or-2 mountpoint -> folder of this process's own group there
  local key=$1 mnt=$2 path
  if [ "$key" = 2 ]; then path=$(awk -F: '$1=="0"{print $3}' /proc/self/cgroup)
  else path=$(awk -F: -v k="$key" '{n=split($2,a,","); for(i=1;i<=n;i++) if (a[i]==k){sub(/^[^:]*:[^:]*:/,""); print; exit}}' /proc/self/cgroup); fi
  [ "$path" = / ] && path=
  [ -d "$mnt$path" ] && echo "$mnt$path" || echo "$mnt"
}
cpuset_copy() { # a v1 cpuset starts empty and takes no process until it has cpus and memory nodes
  local f
  [ -e "$1/cpuset.sched_load_balance" ] || return 0
  for f in cpuset.cpus cpuset.mems; do cat "${1%/*}/$f" > "$1/$f" || return 1; done
}
make_group() { # key mountpoint
  local p old pid; p=$(parent_of "$1" "$2")
  # cgroup2 with controllers: processes and sub-groups do not mix below the root, so use the root
  [ "$1" = 2 ] && [ "$CGMODE" = unified ] && p=$2
  for old in "$p"/systemd-bench-*; do
    [ -d "$old" ] || continue
    pid=${old##*-}; [ -d "/proc/$pid" ] || rmcg "$old"
  done
  mkdir "$p/systemd-bench-$$" || return 1
  CGS+=("$p/systemd-bench-$$")
  cpuset_copy "$p/systemd-bench-$$"
}
make_group 2 "$V2MNT" || { say "cannot make a cgroup under $V2MNT"; exit 125; }
V1=''
if [ "$CGMODE" = hybrid ]; then
  for e in "${V1LIST[@]}"; do
    c=${e%% *}
    make_group "${c%%,*}" "${e#* }" || { say "cannot make a cgroup under ${e#* }"; exit 125; }
    V1="$V1 $c"
  done
fi
if [ "$CGMODE" = unified ]; then
  for c in $(cat "$V2MNT/cgroup.controllers"); do
    grep -qw "$c" "$V2MNT/cgroup.subtree_control" || { echo "+$c" > "$V2MNT/cgroup.subtree_control" || true; }
  done 2>/dev/null
fi

for old in "${TMPDIR:-/tmp}"/systemd-bench.*.*; do
  [ -d "$old" ] && [ -O "$old" ] || continue
  pid=${old##*/systemd-bench.}; pid=${pid%%.*}
  [ -d "/proc/$pid" ] || drop_dir "$old"
done
W=$(mktemp -d "${TMPDIR:-/tmp}/systemd-bench.$$.XXXXXX") || exit 125
chmod 700 "$W"; mkdir "$W/t"
HOST_MNT_NS=$(readlink /proc/self/ns/mnt)
declare -p CGMODE V1 MASK COPY BIND SHOW SETUP HOST_MNT_NS > "$W/config"

# --- start it. pdeathsig + --kill-child: if this script dies, however, so does everything inside ---
enter_groups() { local g; for g in "${CGS[@]}"; do mkdir -p "$g$1" && cpuset_copy "$g$1" && echo "$BASHPID" > "$g$1/cgroup.procs" || return 1; done; }
(
  trap - EXIT INT TERM HUP
  enter_groups '' || exit 125
  exec setpriv --pdeathsig KILL unshare --pid --mount --uts --ipc --cgroup --net --fork --kill-child=KILL "$BASH" "$SELF" --stage2 "$W"
) </dev/null >"$W/log" 2>&1 &
UNSHARE_PID=$!

deadline() { echo $(( SECONDS + $1 )); }
end=$(deadline "$BOOT_TIMEOUT")
boot_failed() {
  say "$1"
  [ -s "$W/log" ] && sed 's/^/systemd-bench: | /' "$W/log" >&2
  if alive "$INITPID"; then inside journalctl --no-pager -q -n 40 2>/dev/null | sed 's/^/systemd-bench: | /' >&2; fi
  RC=125; exit 125
}
inside() { nsenter -t "$INITPID" -m -u -i -n -p -C -r -w --no-fork env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
             SYSTEMD_PAGER=cat SYSTEMD_COLORS=0 bash -c '"$@"; exit $?' inside timeout -k 2 15 "$@" </dev/null; }
until [ -s "$W/initpid" ]; do
  alive "$UNSHARE_PID" || boot_failed "the namespaces could not be made"
  [ $SECONDS -lt "$end" ] || boot_failed "no PID 1 after $BOOT_TIMEOUT s"
  sleep 0.02
done
INITPID=$(cat "$W/initpid")
while :; do
  alive "$INITPID" || boot_failed "the inner PID 1 ended during boot"
  [ $SECONDS -lt "$end" ] || boot_failed "systemd did not finish booting in $BOOT_TIMEOUT s"
  if [ "$(cat "/proc/$INITPID/comm" 2>/dev/null)" = systemd ]; then
    state=$(inside systemctl is-system-running 2>/dev/null)
    case $state in running|degraded) break ;; maintenance) boot_failed "systemd fell into rescue or emergency mode" ;; esac
  fi
  sleep 0.1
done
if [ "$state" != running ]; then
  say "booted, but degraded; failed units:"
  inside systemctl --failed --no-legend --plain >&2
fi

# --- the command ---
(
  trap - EXIT INT TERM HUP
  # A group of its own, beside systemd's: made only now, as systemd trims empty ones at boot.
  enter_groups /bench-command || say "COMMAND runs in the host's cgroup"
  unset NOTIFY_SOCKET WATCHDOG_PID WATCHDOG_USEC LISTEN_FDS LISTEN_PID INVOCATION_ID JOURNAL_STREAM DBUS_SESSION_BUS_ADDRESS XDG_RUNTIME_DIR
  export SYSTEMD_BENCH=1 SYSTEMD_PAGER=cat PAGER=cat SYSTEMD_COLORS=${SYSTEMD_COLORS:-0} PATH="$PATH:/usr/sbin:/sbin"
  fg=''; [ -t 0 ] && fg=--foreground
  # --no-fork, and a bash that stays outside the pid namespace as COMMAND's parent: it reaps COMMAND
  # whatever happens inside. (nsenter's own fork stops itself when the inner shutdown stops every
  # process before killing them; and `timeout` outside would leave COMMAND to the host's PID 1.)
  exec nsenter -t "$INITPID" -m -u -i -n -p -C -r -w --no-fork \
    bash -c 'cd -- "$1" 2>/dev/null || cd /; shift; "$@"; exit $?' systemd-bench "$PWD" timeout $fg -k 5 "$TIMEOUT" "$@"
) <&0 &
CMD=$!
wait "$CMD"; RC=$?
[ "$RC" -eq 124 ] && say "COMMAND ran past $TIMEOUT s"
[ "$RC" -eq 137 ] && ! alive "$INITPID" && say "the inner systemd is gone"

# --- orderly poweroff: SIGRTMIN+4 = start poweroff.target ---
if alive "$INITPID"; then
  kill -s RTMIN+4 "$INITPID" 2>/dev/null
  end=$(deadline "$STOP_TIMEOUT")
  while alive "$INITPID" && [ $SECONDS -lt "$end" ]; do sleep 0.05; done
  if alive "$INITPID"; then say "poweroff took more than $STOP_TIMEOUT s: killed"; fi
fi
exit "$RC"
