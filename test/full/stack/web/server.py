"""Counts visits in redis and keeps them in postgres; finds both by the names of their services."""
import http.server
import socket

import psycopg2
import redis


def visit():
    count = redis.Redis(host="cache").incr("visits")
    with psycopg2.connect(host="db", user="postgres", dbname="postgres") as db, db.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS visit (n int PRIMARY KEY, at timestamptz DEFAULT now())")
        cursor.execute("INSERT INTO visit (n) VALUES (%s)", (count,))
        cursor.execute("SELECT count(*) FROM visit")
        rows = cursor.fetchone()[0]
    return f"visit {count} by redis, {rows} rows of postgres from {socket.gethostname()}\n"


def health():
    redis.Redis(host="cache").ping()
    psycopg2.connect(host="db", user="postgres", dbname="postgres").close()
    return "ok\n"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            body, status = {"/visit": visit, "/health": health}[self.path](), 200
        except Exception as e:
            body, status = f"{e}\n", 503
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())


http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
