#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""An S3 server on loopback: moto's, which is not made for requests at once, behind a lock."""

import io
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

APP = DomainDispatcherApplication(create_backend_app)
LOCK = threading.Lock()


def one_at_a_time(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    with LOCK:
        return [b"".join(APP(environ | {"wsgi.input": io.BytesIO(body)}, start_response))]


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open, as those of real servers


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), one_at_a_time, threaded=True, request_handler=Handler)
