#!/bin/sh
# One windlassd on each node of an allocation, for as long as the job step lives. Inside a job script:
#
#     srun --overlap --ntasks-per-node=1 --cpus-per-task=1 --mem=512M deploy/slurm/windlassd.sh tcp://HEAD:8790 &
#
# --overlap lets the job's own steps use the same processors; --mem is what the daemon itself may hold: its transfers
# (stage.bytes_in_flight_max), its match calls and a little more. HEAD is where the scheduler runs with its windlass.Bridge.
# Where WINDLASS_SECURITY__KEYS names a folder of keys (docs/security.md: with a key that is allowed under any-name), the
# connection is encrypted; else it is plain tcp beyond loopback, hence security.insecure: only on a network that is trusted.
# Clients of the job find the daemon by WINDLASS_LOCAL__SOCKET=/tmp/windlass-$SLURM_JOB_ID/windlass.sock.
set -eu
bridge=${1:?the address of the bridge, tcp://HOST:PORT}
job=${SLURM_JOB_ID:?srun sets it}
runtime=/tmp/windlass-$job
mkdir -m 700 "$runtime" # fails where another has it: sockets are opened in no folder that someone else made
mkdir -p "$runtime/state" "${WINDLASS_ROOT:=${TMPDIR:-/tmp}/windlass-payloads-$job}"

security=
[ -n "${WINDLASS_SECURITY__KEYS:-}" ] || security=--security.insecure=true
# shellcheck disable=SC2086 # one word or none
windlassd --node.name="$(hostname)-$job" --bridge.address="$bridge" $security \
  --local.socket="$runtime/windlass.sock" --state.path="$runtime/state" --stage.roots="$WINDLASS_ROOT" &
daemon=$!
# Steps end with SIGTERM: the daemon drains, says goodbye and is waited for.
trap 'kill -TERM "$daemon"' TERM INT
status=0
wait "$daemon" || status=$?
trap - TERM INT
wait "$daemon" 2>/dev/null || true
rm -rf "$runtime"
exit "$status"
