// SPDX-License-Identifier: Apache-2.0
// HashiCorp's own Go client: reads one KV v2 secret with VAULT_ADDR, VAULT_TOKEN or ~/.vault-token.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/vault/api"
)

func main() {
	client, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		log.Fatal(err)
	}
	if client.Token() == "" {
		home, _ := os.UserHomeDir()
		b, err := os.ReadFile(filepath.Join(home, ".vault-token"))
		if err != nil {
			log.Fatal(err)
		}
		client.SetToken(strings.TrimSpace(string(b)))
	}
	s, err := client.KVv2("secret").Get(context.Background(), os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(s.Data), "fields")
}
