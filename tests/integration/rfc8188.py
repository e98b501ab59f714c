"""RFC 8188 (aes128gcm) read by other code than that of the product: HKDF of the standard library, AES-GCM of
OpenSSL's libcrypto."""
import ctypes
import hashlib
import hmac

HEADER = 64  # salt (16), record size (4), length of the key id (1), key id (43)
RECORD = 65536
PLAIN = RECORD - 17
TAG = 16

libcrypto = ctypes.CDLL("libcrypto.so.3")
for function in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm"):
    getattr(libcrypto, function).restype = ctypes.c_void_p


def aes_gcm_open(key, nonce, sealed):
    """The plaintext, or None when the tag does not fit."""
    context = ctypes.c_void_p(libcrypto.EVP_CIPHER_CTX_new())
    try:
        body, tag = sealed[:-TAG], sealed[-TAG:]
        out, size = ctypes.create_string_buffer(len(body) + 16), ctypes.c_int()
        assert (
            libcrypto.EVP_DecryptInit_ex(context, ctypes.c_void_p(libcrypto.EVP_aes_128_gcm()), None, key, nonce) == 1
        )
        assert libcrypto.EVP_DecryptUpdate(context, out, ctypes.byref(size), body, len(body)) == 1
        assert libcrypto.EVP_CIPHER_CTX_ctrl(context, 0x11, TAG, ctypes.c_char_p(tag)) == 1  # EVP_CTRL_AEAD_SET_TAG
        more = ctypes.c_int()
        if libcrypto.EVP_DecryptFinal_ex(context, ctypes.byref(out, size.value), ctypes.byref(more)) != 1:
            return None
        return out.raw[: size.value + more.value]
    finally:
        libcrypto.EVP_CIPHER_CTX_free(context)


def hkdf(salt, key, info, size):
    prk = hmac.new(salt, key, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()[:size]


def header(octets):
    """Salt, record size, key id."""
    size = octets[20]
    return octets[:16], int.from_bytes(octets[16:20], "big"), octets[21 : 21 + size]


def records(octets):
    """The sealed records of a body; the last one is shorter (or cut off)."""
    return [octets[at : at + RECORD] for at in range(HEADER, len(octets), RECORD)]


def open_body(octets, key):
    """The file in a whole body; raises ValueError when a record does not open or does not stand where it says."""
    salt, size, _ = header(octets)
    if size != RECORD:
        raise ValueError("record size")
    cek, base = hkdf(salt, key, b"Content-Encoding: aes128gcm\0", 16), hkdf(salt, key, b"Content-Encoding: nonce\0", 12)
    sealed, out = records(octets), []
    for index, record in enumerate(sealed):
        plain = aes_gcm_open(cek, (int.from_bytes(base, "big") ^ index).to_bytes(12, "big"), record)
        if plain is None:
            raise ValueError(f"record {index} does not open")
        data = plain.rstrip(b"\0")
        if not data or data[-1] != (2 if index == len(sealed) - 1 else 1):
            raise ValueError(f"record {index} has the wrong delimiter")
        out.append(data[:-1])
    return b"".join(out)
