// SPDX-License-Identifier: Apache-2.0

// The client: fetches SVIDs as a workload does, writes and reads them in the usual files.

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

const audience = "vault"

// From the socket that SPIFFE_ENDPOINT_SOCKET names, as go-spiffe finds it by itself. The JWT is validated against the
// trust domain's keys.
func fromSocket() (*workloadapi.X509Context, *jwtsvid.SVID, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	certificates, err := workloadapi.FetchX509Context(ctx)
	if err != nil {
		return nil, nil, err
	}
	token, err := workloadapi.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience})
	if err != nil {
		return nil, nil, err
	}
	keys, err := workloadapi.FetchJWTBundles(ctx)
	if err != nil {
		return nil, nil, err
	}
	_, err = jwtsvid.ParseAndValidate(token.Marshal(), keys, []string{audience})
	return certificates, token, err
}

func fetch() error {
	certificates, token, err := fromSocket()
	if err != nil {
		return err
	}
	fmt.Println(certificates.DefaultSVID().ID, token.ID)
	return nil
}

// svid.pem, svid_key.pem, svid_bundle.pem, jwt_svid.token: what spiffe-helper's documentation calls them.
func write(folder string) error {
	certificates, token, err := fromSocket()
	if err != nil {
		return err
	}
	svid := certificates.DefaultSVID()
	chain, key, err := svid.Marshal()
	if err != nil {
		return err
	}
	bundle, err := certificates.Bundles.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		return err
	}
	authorities, err := bundle.Marshal()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"svid.pem": chain, "svid_key.pem": key, "svid_bundle.pem": authorities, "jwt_svid.token": []byte(token.Marshal()),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return err
		}
	}
	fmt.Println(svid.ID)
	return nil
}
