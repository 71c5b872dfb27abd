# redis-server and redis-benchmark over loopback: 40,000 requests one by one of 50 connections, 200,000 in pipelines.
set -e
port=7379
redis-server --port $port --save '' --appendonly no >/dev/null &
until redis-cli -p $port ping >/dev/null 2>&1; do sleep 0.05; done
redis-benchmark -p $port -n 20000 -c 50 -t set,get -q >/dev/null
redis-benchmark -p $port -n 100000 -c 50 -P 16 -t set,get -q >/dev/null
redis-cli -p $port shutdown nosave
wait
