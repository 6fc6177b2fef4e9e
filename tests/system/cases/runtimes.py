# SPDX-License-Identifier: Apache-2.0
"""Programs without OpenSSL or libc in the way: a static Go program, Node (its own OpenSSL), Java (its own TLS)."""
from case import SystemCase, needs
from rows import FINGERPRINT, Acquisition, Use
from stage import fetch
from stage.services import digest

NODE, JAVA, JAVAC = "/usr/bin/node", "/usr/bin/java", "/usr/bin/javac"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
GO_PROGRAM = '''package main

import (
	"net/http"
	"os"
)

func main() {
	for i := 0; i < 2; i++ {
		request, _ := http.NewRequest("GET", "https://api.github.com/user", nil)
		request.Header.Set("Authorization", "Bearer "+os.Getenv("GITHUB_TOKEN"))
		request.Close = true
		answer, err := http.DefaultClient.Do(request)
		if err != nil || answer.StatusCode != 200 {
			os.Exit(1)
		}
		answer.Body.Close()
	}
}
'''
NODE_PROGRAM = ("fetch('https://api.openai.com/v1/models', {headers: {Authorization: 'Bearer ' "
                "+ process.env.OPENAI_API_KEY}})"
                ".then(answer => answer.text()).then(() => process.exit(0), () => process.exit(1))")
JAVA_PROGRAM = '''import java.io.FileInputStream;
import java.net.URI;
import java.net.http.*;
import java.nio.file.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;

class Client {
  public static void main(String[] arguments) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (FileInputStream bundle = new FileInputStream(arguments[0])) {
      store.setCertificateEntry("root", CertificateFactory.getInstance("X.509").generateCertificate(bundle));
    }
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, trust.getTrustManagers(), null);
    HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("VAULT_ADDR") + "/v1/sys/health"))
        .header("Authorization", "Bearer " + Files.readString(Path.of("/root/.vault-token")).trim()).build();
    HttpClient client = HttpClient.newBuilder().sslContext(context).build();
    if (client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode() != 200) System.exit(1);
  }
}
'''


class Runtimes(SystemCase):
    def test_static_go(self):
        """No libc: its own resolver, its own TLS, system calls of its own."""
        program, token = self.fetched(fetch.go, GO_PROGRAM), self.maker.github()
        self.start([program], env={"GITHUB_TOKEN": token}).wait()
        self.assertEqual(self.sent("api.github.com"), [digest(token)])
        self.expect([Acquisition("environment", "GITHUB_TOKEN", FINGERPRINT, kind="github.token", lifetime="unknown")],
                    [Use("inferred", "only_key_held", [FINGERPRINT], provider="github", service="vcs", region="global",
                         host="api.github.com", connections=2)])

    @needs(NODE)
    def test_node(self):
        token = "sk-proj-" + self.maker.text(64)
        self.start([NODE, "-e", NODE_PROGRAM], env={"OPENAI_API_KEY": token, "NODE_EXTRA_CA_CERTS": BUNDLE}).wait()
        self.assertEqual(self.sent("api.openai.com"), [digest(token)])
        self.expect([Acquisition("environment", "OPENAI_API_KEY", FINGERPRINT, kind="openai.api_key")],
                    [Use("inferred", "only_key_held", [FINGERPRINT], provider="openai", service="ai", region="global",
                         host="api.openai.com")])

    @needs(JAVA, JAVAC)
    def test_java(self):
        token, host = "hvs." + self.maker.text(90), f"{self.maker.public(8)}.vault.test"
        self.plant(".vault-token", token)
        self.plant("Client.java", JAVA_PROGRAM)
        self.start([JAVA, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "Client.java", BUNDLE],
                   env={"VAULT_ADDR": f"https://{host}"}).wait()
        self.assertEqual(self.sent(host), [digest(token)])
        self.expect([Acquisition("file", "/root/.vault-token", FINGERPRINT, kind="vault.token",
                                 key_class="session_token", lifetime="unknown")],
                    [Use("inferred", "only_key_held", [FINGERPRINT], provider="vault", service="vault", region="",
                         host=host)])
