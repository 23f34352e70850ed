package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/httpapi"
	"github.com/vault-guardian/guardian/limit"
)

// newClientPlane returns a server of the node's client plane, without limits,
// logs and tokens.
func newClientPlane(ctx context.Context, node *guardian.Node) (*http.Server, error) {
	audience := node.NodeID() + ".example:7500"
	verifier, err := auth.NewVerifier([]string{audience}, time.Now)
	if err != nil {
		return nil, err
	}
	known, err := cluster.New(cluster.Config{
		Self: cluster.Member{NodeID: node.NodeID(), ClientURL: "http://" + audience}, Logger: quiet,
	})
	if err != nil {
		return nil, err
	}
	health := httpapi.NewMonitor(node.Check, time.Minute)
	health.Probe(ctx)
	handler := httpapi.New(httpapi.Config{
		Node: node, Tokens: auth.NewTokenSet(nil), Unauthenticated: true, Ownership: ownership,
		Verifier: verifier, Sessions: auth.NewSessions(node.Sealer(), time.Now), Limits: limit.New(limit.Config{}),
		Health: health, Storage: "fs", Cluster: known, ClientPort: 7500, MaxRequests: 1_000, Logger: quiet,
	})
	return httpapi.NewServer(handler, 30*time.Second, quiet), nil
}

func listen(ctx context.Context) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
}

var (
	// errRefused reports a guardian that could not do in time what it was asked.
	errRefused = errors.New("refused")
	errAnswer  = errors.New("a guardian answered")
)

// post sends JSON and reads the answer, which must be a 200.
func post(ctx context.Context, client *http.Client, url string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	asked.Header.Set("Content-Type", "application/json")
	response, err := client.Do(asked)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusServiceUnavailable {
		return fmt.Errorf("%w: %s", errRefused, text[:min(len(text), 200)])
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%w %d: %s", errAnswer, response.StatusCode, text[:min(len(text), 200)])
	}
	return json.Unmarshal(text, answer)
}
