#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""An S3 server on loopback: moto's, which is not made for requests at once, behind a lock.

Connections stay open, as those of real servers do and those of moto's own server do not.
"""

import io
import sys
import threading
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

APP = DomainDispatcherApplication(create_backend_app)
LOCK = threading.Lock()


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or an answer in two pieces takes 40 ms

    def run_wsgi(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environ = self.make_environ() | {"wsgi.input": io.BytesIO(body)}
        started: list[Any] = []
        with LOCK:
            answer = b"".join(APP(environ, lambda *args: started.append(args)))
        status, headers = started[0][:2]
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), APP, threaded=True, request_handler=Handler)
