"""A mail server with TLS and passwords: server.py FOLDER STARTTLS_PORT IMPLICIT_PORT.

Its certificate is FOLDER/server.pem; what it is told goes to FOLDER/heard, a line of JSON each.
"""

import json
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP

folder, starttls, implicit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def hear(what, session, **more):
    line = {"what": what, "tls": session.ssl is not None or session.implicit, **more}
    with open(f"{folder}/heard", "a", encoding="utf-8") as heard:
        heard.write(json.dumps(line) + "\n")


def login(server, session, envelope, mechanism, data):
    session.implicit = server.implicit
    session.user = data.login.decode()
    hear("LOGIN", session, user=session.user)
    return AuthResult(success=data.login == b"baton" and data.password == b"s3cr3t", handled=False)


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, options):
        session.implicit = server.implicit
        hear("MAIL", session)
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        hear("LETTER", session, user=session.user, text=envelope.content.decode("utf-8", "replace"))
        return "250 taken"


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
    return made


class Served(Controller):
    def __init__(self, host, port, implicit):
        self.implicit = implicit
        super().__init__(Handler(), hostname=host, port=port, ssl_context=context() if implicit else None)

    def factory(self):
        server = SMTP(
            self.handler,
            tls_context=None if self.implicit else context(),
            require_starttls=not self.implicit,
            auth_required=True,
            # With TLS from the first byte there is no STARTTLS that would allow passwords.
            auth_require_tls=not self.implicit,
            authenticator=login,
        )
        server.implicit = self.implicit
        return server


for host in ("127.0.0.2", "127.0.0.1"):
    Served(host, implicit, True).start()
    Served(host, starttls, False).start()
threading.Event().wait()
