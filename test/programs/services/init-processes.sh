# needs: tini dumb-init
# seconds: 60
tini -s -- sh -c 'echo in; sleep 0.1 & exit 3'; echo tini $?; tini -s -- sh -c 'kill -TERM $$'; echo $?; dumb-init sh -c 'trap "echo term; exit 9" TERM; echo ready > r; while :; do sleep 0.1; done' & p=$!; while [ ! -s r ]; do sleep 0.1; done; kill -TERM $p; wait $p; echo dumb $?
tini -s -g -- sh -c 'sh -c "trap \"echo child\; exit\" INT; echo y > r2; while :; do sleep 0.1; done" & wait; wait' & p=$!; while [ ! -s r2 ]; do sleep 0.1; done; kill -TERM $p; wait $p; echo $?
dumb-init -c -r 15:2 sh -c 'trap "echo int; exit 4" INT; echo z > r3; while :; do sleep 0.1; done' & p=$!; while [ ! -s r3 ]; do sleep 0.1; done; kill -TERM $p; wait $p; echo $?
dumb-init bash -c '(sleep 0.2; echo orphan) & disown; exit 2'; echo $?; tini -s true; echo $?; tini -s /nonexistent 2>/dev/null; echo $?
