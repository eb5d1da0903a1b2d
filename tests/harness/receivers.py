"""Places where alerts are told: chats that check signatures as their vendors do, and a mail server."""
import base64
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


def mac(key, text):
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()


class Chats:
    """One server for all chats, by path. `heard` is [(kind, body)] of what was taken; whatever is wrong is refused as the vendor would."""

    def __init__(self, secret):
        self.secret, self.heard, self.fail_next = secret, [], 0
        chats = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = chats.judge(self.path, self.headers, body)
                data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, kind):
        return "http://127.0.0.1:%d/%s?access_token=canary-%s-4f1d" % (self.port, kind, kind)

    def judge(self, path, headers, body):
        kind, query = urlsplit(path).path.strip("/"), parse_qs(urlsplit(path).query)
        if self.fail_next > 0:
            self.fail_next -= 1
            return 503, "not now"
        if headers["Content-Type"] != "application/json" or query.get("access_token") != ["canary-%s-4f1d" % kind]:
            return 403, "no"
        message = json.loads(body)
        status, answer = getattr(self, "as_" + kind)(query, headers, message, body)
        if status == 200 and answer in ("ok", {"ok": True}, {"errcode": 0, "errmsg": "ok"}, {"code": 0, "msg": "success"}):
            self.heard.append((kind, message))
        return status, answer

    def fresh(self, seconds):
        return abs(time.time() - seconds) < 3600

    def as_dingtalk(self, query, _headers, message, _body):
        """https://open.dingtalk.com/document/robots/customize-robot-security-settings"""
        stamp = query.get("timestamp", ["0"])[0]
        sign = base64.b64encode(mac(self.secret, "%s\n%s" % (stamp, self.secret))).decode()
        if len(stamp) != 13 or not self.fresh(int(stamp) / 1000) or query.get("sign") != [sign]:
            return 200, {"errcode": 310000, "errmsg": "sign not match"}
        assert message["msgtype"] == "markdown" and message["markdown"]["title"] and message["markdown"]["text"]
        return 200, {"errcode": 0, "errmsg": "ok"}

    def as_feishu(self, _query, _headers, message, _body):
        """https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot"""
        stamp = message.get("timestamp", "0")
        sign = base64.b64encode(mac("%s\n%s" % (stamp, self.secret), "")).decode()
        if len(stamp) != 10 or not self.fresh(int(stamp)) or message.get("sign") != sign:
            return 200, {"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"}
        assert message["msg_type"] == "text" and message["content"]["text"]
        return 200, {"code": 0, "msg": "success"}

    def as_wecom(self, _query, _headers, message, _body):
        if message.get("msgtype") != "markdown" or not message["markdown"].get("content"):
            return 200, {"errcode": 40008, "errmsg": "invalid message type"}
        return 200, {"errcode": 0, "errmsg": "ok"}

    def as_slack(self, _query, _headers, message, _body):
        return (200, "ok") if set(message) == {"text"} else (400, "invalid_payload")

    def as_webhook(self, _query, headers, _message, body):
        stamp = headers["X-Tidegate-Timestamp"] or "0"
        expected = "sha256=" + hmac.new(self.secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        if not self.fresh(int(stamp)) or headers["X-Tidegate-Signature"] != expected:
            return 401, "bad signature"
        return 200, {"ok": True}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Mailbox:
    """A mail server that takes nothing before STARTTLS and AUTH. `mails` is [(from, [to], text)]."""

    def __init__(self, folder, username, password):
        self.username, self.password, self.mails = username, password, []
        key, crt = folder / "smtp.key", folder / "smtp.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", key,
                        "-out", crt, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        self.ca_pem = crt.read_text()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(crt, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw):
        try:
            self._talk(raw)
        except (OSError, ValueError):
            pass
        finally:
            raw.close()

    def _talk(self, raw):
        lines, tls, known, sender, to = raw.makefile("rb"), False, False, None, []
        say = lambda text: raw.sendall(text.encode() + b"\r\n")
        say("220 mail")
        while True:
            line = lines.readline().decode().rstrip("\r\n")
            word = line.upper()
            if not line:
                return
            if word.startswith(("EHLO", "HELO")):
                raw.sendall(b"250-mail\r\n" + (b"250 AUTH PLAIN LOGIN\r\n" if tls else b"250 STARTTLS\r\n"))
            elif word == "STARTTLS":
                say("220 go on")
                raw = self.context.wrap_socket(raw, server_side=True)
                lines, tls = raw.makefile("rb"), True
            elif not tls:
                say("530 STARTTLS first")
            elif word.startswith("AUTH PLAIN"):
                text = line.split(" ")[2] if line.count(" ") == 2 else None
                if text is None:
                    say("334 ")
                    text = lines.readline().decode().strip()
                known = base64.b64decode(text).decode().split("\0")[1:] == [self.username, self.password]
                say("235 welcome" if known else "535 who are you")
            elif not known:
                say("530 log in first")
            elif word.startswith("MAIL FROM:"):
                sender, to = line[10:].split(" ")[0].strip("<>"), []
                say("250 ok")
            elif word.startswith("RCPT TO:"):
                to.append(line[8:].strip("<>"))
                say("250 ok")
            elif word == "DATA":
                say("354 go on")
                text = []
                while (line := lines.readline()) != b".\r\n":
                    text.append(line)
                self.mails.append((sender, to, b"".join(text).decode()))
                say("250 taken")
            elif word == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")

    def close(self):
        self.listener.close()
