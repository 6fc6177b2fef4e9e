// SPDX-License-Identifier: Apache-2.0

// The server: one SVID for everybody, signed by an authority that lives as long as the process.

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const keyID = "authority-1"

// The authority of a trust domain, and the one workload that it knows.
type authority struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	id   spiffeid.ID
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(id spiffeid.ID) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	domain, err := url.Parse(id.TrustDomain().IDString())
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, URIs: []*url.URL{domain},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}}, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der)
	return &authority{id: id, root: root, key: key}, err
}

// The header that keeps a browser's requests out; standards/SPIFFE_Workload_Endpoint.md, section 3.
func hasHeader(ctx context.Context) error {
	sent, _ := metadata.FromIncomingContext(ctx)
	if is := sent.Get("workload.spiffe.io"); len(is) != 1 || is[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	return nil
}

func (a *authority) svid() (*workload.X509SVID, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{Organization: []string{"SPIRE"}},
		URIs: []*url.URL{a.id.URL()}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.root, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	return &workload.X509SVID{SpiffeId: a.id.String(), X509Svid: der, X509SvidKey: private, Bundle: a.root.Raw}, err
}

func (a *authority) FetchX509SVID(_ *workload.X509SVIDRequest,
	to grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	if err := hasHeader(to.Context()); err != nil {
		return err
	}
	svid, err := a.svid()
	if err != nil {
		return err
	}
	if err := to.Send(&workload.X509SVIDResponse{Svids: []*workload.X509SVID{svid}}); err != nil {
		return err
	}
	<-to.Context().Done() // the next would come before this one ends, which no test waits for
	return nil
}

func (a *authority) FetchJWTSVID(ctx context.Context, asked *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse,
	error) {
	if err := hasHeader(ctx); err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: a.key, KeyID: keyID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Subject: a.id.String(), Audience: asked.Audience, IssuedAt: jwt.NewNumericDate(time.Now()),
		Expiry: jwt.NewNumericDate(time.Now().Add(5 * time.Minute)),
	}).Serialize()
	if err != nil {
		return nil, err
	}
	return &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{{SpiffeId: a.id.String(), Svid: token}}}, nil
}

func (a *authority) FetchJWTBundles(_ *workload.JWTBundlesRequest,
	to grpc.ServerStreamingServer[workload.JWTBundlesResponse]) error {
	if err := hasHeader(to.Context()); err != nil {
		return err
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{
		Keys: []jose.JSONWebKey{{Key: &a.key.PublicKey, KeyID: keyID, Use: "jwt-svid"}}})
	if err != nil {
		return err
	}
	bundles := map[string][]byte{a.id.TrustDomain().IDString(): keys}
	if err := to.Send(&workload.JWTBundlesResponse{Bundles: bundles}); err != nil {
		return err
	}
	<-to.Context().Done()
	return nil
}

func serve(socket, id string) error {
	who, err := spiffeid.FromString(id)
	if err != nil {
		return err
	}
	of, err := newAuthority(who)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o777); err != nil {
		return err
	}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, of)
	fmt.Println("ready")
	return server.Serve(listener)
}
