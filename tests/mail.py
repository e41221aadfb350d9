"""How sending a letter fails: there is no server, it cannot be spoken to, or it refuses."""

import smtplib
import socket
import ssl

FAILURES = (
    ConnectionRefusedError("nobody there"),
    socket.gaierror("no such host"),
    TimeoutError("no answer"),
    ssl.SSLCertVerificationError("somebody else's certificate"),
    smtplib.SMTPAuthenticationError(535, b"no such user"),
    smtplib.SMTPRecipientsRefused({"grace@navy.example": (550, b"no such mailbox")}),
    smtplib.SMTPDataError(554, b"spam"),
)
