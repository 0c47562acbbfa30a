#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# slurm.sh COMMAND...
#
# Runs a command with a Slurm cluster of this one machine, whose daemons live as long as it: slurmctld, slurmd and munged out of Debian's slurm-wlm and munge, in a
# folder of their own, on ports of their own. As root, which slurmd wants. Exit status: the command's; 77 where Slurm is not installed or does not come up, or this
# is not root.
set -euo pipefail

for program in munged slurmctld slurmd sbatch; do
    command -v $program >/dev/null || { echo "slurm.sh: $program is not installed"; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo 'slurm.sh: not root'; exit 77; }

work=$(mktemp -d)
pids=()
finish() {
    kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

host=$(hostname -s)
cpus=$(nproc)
mkdir -p "$work"/{munge,state,spool}
chmod 755 "$work"
head -c 128 /dev/urandom >"$work/munge/key"
chmod 600 "$work/munge/key"
chmod 700 "$work/munge"
munged --foreground --force --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munge/pid" \
    --log-file="$work/munge/log" --seed-file="$work/munge/seed" 2>"$work/out" &
pids+=($!)

cat >"$work/slurm.conf" <<EOF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
MpiDefault=none
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ReturnToService=2
SchedulerParameters=sched_interval=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
EOF
export SLURM_CONF=$work/slurm.conf
slurmctld -D >"$work/out" 2>&1 &
pids+=($!)
slurmd -D -N "$host" >"$work/out" 2>&1 &
pids+=($!)

for ((i = 0; i < 100; i++)); do
    [[ $(sinfo -h -o %T 2>/dev/null) == idle ]] && break
    sleep .2
done
if [[ $(sinfo -h -o %T 2>/dev/null) != idle ]]; then
    echo "slurm.sh: the cluster does not come up: $(tail -qn 3 "$work"/*.log | tr "\n" " ")"
    exit 77
fi
"$@"
