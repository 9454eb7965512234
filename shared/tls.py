"""Verifies servers as Go does, for every client of ours.

kubectl, the kubelet and ToolHive's proxies are written in Go. A server that they accept must not be refused here, and
one that they refuse must not pass here.
"""

from __future__ import annotations

import ssl


def client_context(*, cafile: str | None = None, cadata: str | bytes | None = None) -> ssl.SSLContext:
    """Build a context that verifies a server's chain, name and dates as Go does.

    Source: Go's `crypto/x509`, `Certificate.Verify` and `Certificate.VerifyHostname`.

    Args:
        cafile: File of the certificates to trust, in PEM.
        cadata: Certificates to trust, in PEM (or in DER, as bytes).
            With neither of the two, the context trusts the system's roots.

    Raises:
        OSError: The file cannot be read, or (`ssl.SSLError`) what is to be trusted is no certificate.
        ValueError: Text in `cadata` is not ASCII.
    """
    context = ssl.create_default_context(cafile=cafile, cadata=cadata)
    # Since 3.13, Python sets this flag by default (What's New In Python 3.13, `ssl`). It holds certificates to RFC 5280
    # to the letter, key identifiers included. Go does not, and clusters that are old or made by hand have none.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # Go lets a chain end at any trusted certificate, also at one that another has signed. Python does since 3.13.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # Go has read no names from the subject since 1.15; Python still does if the certificate lists addresses alone.
    context.hostname_checks_common_name = False
    return context
