#!/usr/bin/env python3
"""The right answers of src/crypto/backend.cpp, made by Python's own hashlib and hmac and by another binding of AES.
Needs the package python3-cryptography; prints name and SHA-256."""
import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LENGTHS = [1, 15, 16, 17, 31, 47, 55, 56, 63, 64, 65, 119, 128, 255, 256, 511, 1024, 1152, 1400, 4097]


def pattern(size, first):
    return bytes((first + i * 7 + (i >> 8)) & 255 for i in range(size))


def packets(seal):
    out = hashlib.sha256()
    for number, length in enumerate(LENGTHS):
        packet = pattern(12 + length, length)
        iv = bytes((number + i) & 255 for i in range(16))
        out.update(packet[:12] + seal(iv, packet[:12], packet[12:], bytes([0, 0, 0, number])))
    return out.hexdigest()


def ctr_hmac(key, authentication_key):
    def seal(iv, header, text, trailer):
        cipher = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
        sealed = cipher.update(text) + cipher.finalize()
        return sealed + hmac.new(authentication_key, header + sealed + trailer, "sha1").digest()[:10]

    return seal


KEY = pattern(32, 0x11)
print("GCM128", packets(lambda iv, header, text, _: AESGCM(KEY[:16]).encrypt(iv[:12], text, header)))
print("GCM256", packets(lambda iv, header, text, _: AESGCM(KEY).encrypt(iv[:12], text, header)))
print("CTRHMAC", packets(ctr_hmac(KEY[:16], pattern(20, 0x77))))
print("SHA256", hashlib.sha256(b"".join(hashlib.sha256(pattern(n, n)).digest() for n in LENGTHS)).hexdigest())
