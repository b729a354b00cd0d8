"""A broker with a SASL_SSL and a mutual TLS listener, and what is needed for it, made on the spot."""

import base64
import datetime
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kafka import KafkaAdminClient
from kafka.admin import UserScramCredentialUpsertion

from weir.local.install import Tools
from weir.local.kafka import KafkaServer
from weir.local.ports import LOOPBACK, free_port

USER, PASSWORD = "weir", "per\tmit me"


@dataclass
class Authority:
    """A certificate authority of its own in ``folder``."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        certificate = (
            self._builder(self._subject, self._key.public_key(), days=30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = self.folder / f"{self.name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, days: int = 30) -> Path:
        """A PEM file of a key and its certificate for loopback, which is valid for ``days`` from yesterday on."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternatives = x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))])
        builder = self._builder(subject, key.public_key(), days).add_extension(alternatives, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self.folder / f"{name}.pem"
        file.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
        return file

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(yesterday - datetime.timedelta(days=30))
            .not_valid_after(yesterday + datetime.timedelta(days=days))
        )


def unsecured_token() -> str:
    """A token of OAUTHBEARER without a signature, good for an hour, as the broker's own validator takes it."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": USER, "iat": now, "exp": now + 3_600})
    header, claims = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{header}.{claims}."


class SecuredKafka(KafkaServer):
    """A broker whose plain listener stays its own.

    ``sasl`` takes SCRAM-SHA-512 and OAUTHBEARER over TLS, ``mutual`` a client certificate.
    """

    def __init__(self, folder: Path, tools: Tools, *, held: Sequence[int] = ()) -> None:
        super().__init__(folder / "kafka", tools, held=held)
        self.authority = Authority(folder, "authority")
        self._certificate = self.authority.issue("broker")
        self.sasl, self.mutual = (f"{LOOPBACK}:{free_port()}" for _ in range(2))

    def start(self) -> None:
        """Start, and let in the one user."""
        super().start()
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, "SCRAM-SHA-512", PASSWORD)])
        admin.close()

    def _properties(self, data: Path) -> str:
        plain = super()._properties(data)
        controller = f"CONTROLLER://{LOOPBACK}:{self.controller_port}"
        ours = f"PLAINTEXT://{self.bootstrap},SASL_SSL://{self.sasl},SSL://{self.mutual}"
        settings = {  # of two lines of the same key, the later one counts
            "listeners": f"{ours},{controller}",
            "advertised.listeners": ours,
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self._certificate,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.file,
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config": (
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
                f'unsecuredLoginStringClaim_sub="{USER}";'
            ),
        }
        return plain + "".join(f"{key}={value}\n" for key, value in settings.items())
