// SPDX-License-Identifier: Apache-2.0
// A key and its certificate, made for these tests with openssl and used nowhere else.
#pragma once

#include <string_view>

namespace keytrail::examine {

inline constexpr std::string_view kTlsKey = R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIBv8fVnxWN7uDWLc4V2qSIQ4cViBxZ1Ipfi0br5K7oPVoAoGCCqGSM49
AwEHoUQDQgAEzM0hZ2uYqkTRk2qk7CDTQwLvwz9KL0HZJwq83ywG5RtxwFiQa8Li
S2UdLjiZ43mmIVQMxSgvPjiZsERkVemK6A==
-----END EC PRIVATE KEY-----
)";

inline constexpr std::string_view kTlsCertificate = R"(-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIUPsz2dWxdTtNrmtKVJY2v3ATjMtQwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLd2ViLmV4YW1wbGUwHhcNMjYxMTIxMDQzNTM3WhcNMzYxMTE4
MDQzNTM3WjAWMRQwEgYDVQQDDAt3ZWIuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABMzNIWdrmKpE0ZNqpOwg00MC78M/Si9B2ScKvN8sBuUbccBYkGvC
4ktlHS44meN5piFUDMUoLz44mbBEZFXpiuijUzBRMB0GA1UdDgQWBBRDEzouc08S
7dOfJ/qP+iMcQkVyrDAfBgNVHSMEGDAWgBRDEzouc08S7dOfJ/qP+iMcQkVyrDAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIF1Xm8vyNy72STyp6cMm
N13gSfcDxHK4yyHtHCnR3iLLAiEAiTzgK6obxO4y2FNu9WuboadDjen0kRJPKmqW
FaPLYQw=
-----END CERTIFICATE-----
)";

}  // namespace keytrail::examine
