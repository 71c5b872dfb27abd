# needs: redis-benchmark
# seconds: 120
redis-server --port 6390 --unixsocket /tmp/r.sock --daemonize yes --save '' --appendonly yes --dir . --io-threads 2 > /dev/null; for i in $(seq 100); do redis-cli -p 6390 ping > /dev/null 2>&1 && break; sleep 0.1; done
redis-benchmark -p 6390 -n 1000 -c 20 -q | tr '\r' '\n' | grep 'requests per second' | cut -d: -f1
redis-benchmark -s /tmp/r.sock -n 1000 -c 20 -P 10 --threads 2 -t set,get,lrange -q | tr '\r' '\n' | grep 'requests per second' | cut -d: -f1
idle() { until redis-cli -p 6390 info persistence | tr -d '\r' | grep -qx "$1:0"; do sleep 0.1; done; }; redis-cli -p 6390 bgsave > /dev/null; idle rdb_bgsave_in_progress; redis-cli -p 6390 bgrewriteaof > /dev/null; idle aof_rewrite_scheduled; idle aof_rewrite_in_progress; redis-cli -p 6390 info persistence | tr -d '\r' | grep -E 'rdb_last_bgsave_status|aof_last_bgrewrite_status'
redis-cli -p 6390 eval 'for i=1,100 do redis.call("set","k"..i,i) end return redis.call("dbsize") > 100' 0; redis-cli -p 6390 shutdown nosave; ls appendonlydir | wc -l; ls *.rdb
