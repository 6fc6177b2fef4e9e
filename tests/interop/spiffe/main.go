// SPDX-License-Identifier: Apache-2.0

// The SPIFFE Workload API and what calls it: go-spiffe's own service description, client and file formats. Only the
// authority behind the service is ours: it gives everybody the SVID that it was started with.
//
//	spiffe serve SOCKET SPIFFE-ID      the Workload API at a Unix socket; "ready" on standard output
//	spiffe fetch                       an X.509-SVID and a JWT-SVID from SPIFFE_ENDPOINT_SOCKET, kept in memory
//	spiffe write FOLDER                the same as files, named as spiffe-helper names them
package main

import (
	"fmt"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("which: serve, fetch, write?")
	}
	var err error
	switch os.Args[1] {
	case "serve":
		err = serve(os.Args[2], os.Args[3])
	case "fetch":
		err = fetch()
	case "write":
		err = write(os.Args[2])
	default:
		err = fmt.Errorf("unknown: %s", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}
