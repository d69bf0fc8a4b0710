"""Throwaway certificate authorities and what they sign, made with openssl."""

import pathlib
import ssl
import subprocess

# openssl's names for the options of a new key.
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
RSA_PSS = ["-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"]
ED25519 = ["-newkey", "ed25519"]


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"openssl {args}: {done.stderr}"


class Authority:
    """A CA whose files stand in `folder`."""

    def __init__(self, folder, name="ca"):
        self.folder = pathlib.Path(folder)
        self.cert, self.key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        # With the usage of its key: Python 3.13 refuses a CA without.
        openssl("req", "-x509", *EC, "-nodes", "-days", 2, "-subj", f"/CN=test {name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-keyout", self.key, "-out", self.cert)  # fmt: skip

    def issue(self, name, names=("DNS:localhost", "IP:127.0.0.1"), key=EC, days=2, subject=None):
        """(certificate, key) for those names, new ones in files called `name`."""
        cert, key_file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        openssl("req", "-x509", "-CA", self.cert, "-CAkey", self.key, *key, "-nodes", "-days", days,
                "-subj", subject if (subject or "").startswith("/") else f"/CN={subject or name}", "-addext", "subjectAltName=" + ",".join(names),
                "-addext", "basicConstraints=CA:FALSE", "-keyout", key_file, "-out", cert)  # fmt: skip
        key_file.chmod(0o600)
        return cert, key_file

    def revocations(self, name, *certs):
        """The file of a list, called `name`, that revokes `certs`."""
        crl, config, database = (self.folder / f"{name}.{end}" for end in ("crl", "conf", "db"))
        config.write_text(f"[ca]\ndefault_ca = this\n[this]\ndatabase = {database}\ndefault_md = sha256\ndefault_crl_days = 2\n")
        database.write_text("")
        for what in (*(["-revoke", cert] for cert in certs), ["-gencrl", "-out", crl]):
            openssl("ca", "-config", config, "-cert", self.cert, "-keyfile", self.key, *what)
        return crl

    def client_context(self, *, alpn=(), identity=None):
        """What a client that trusts this authority uses; `identity`: its own certificate and key."""
        context = ssl.create_default_context(cafile=self.cert)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if identity:
            context.load_cert_chain(*identity)
        return context
