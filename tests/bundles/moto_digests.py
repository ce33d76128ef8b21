"""moto's server with one thing that moto lacks: its KMS signs a digest as a digest (MessageType=DIGEST).

moto 5.2 hashes whatever it is given once more, so a signature that was asked for the usual way fits nothing.
As Amazon describes `Sign`: ECDSA in DER, RSASSA-PSS with a salt as long as the digest.
"""

from __future__ import annotations

import base64
import json
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.hashes import SHA256
from moto import server
from moto.kms.responses import KmsResponse

_sign = KmsResponse.sign


def _sign_digests(self: Any) -> str:
    if self._get_param("MessageType") != "DIGEST":
        return str(_sign(self))
    key = self.kms_backend.describe_key(self._get_param("KeyId"))
    digest, private = self._get_param("Message"), key.private_key.private_key
    if self._get_param("SigningAlgorithm") == "ECDSA_SHA_256":
        signature = private.sign(digest, ec.ECDSA(utils.Prehashed(SHA256())))
    else:
        salted = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
        signature = private.sign(digest, salted, utils.Prehashed(SHA256()))
    return json.dumps({"KeyId": key.arn, "Signature": base64.b64encode(signature).decode()})


if __name__ == "__main__":
    with patch.object(KmsResponse, "sign", _sign_digests):  # this is the one thing it lacks
        server.main()
