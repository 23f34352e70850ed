package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/api"
)

// bare is a server that does only what cannot be left out. It keeps no versions,
// compares nothing and asks nobody who they are.
type bare interface {
	put(ctx context.Context, identity string, share []byte, version uint64) error
	get(ctx context.Context, identity string) ([]byte, error)
}

// serveBare is the whole of a process of startBare.
func serveBare(ctx context.Context, kind, where string) error {
	kinds := map[string]func(context.Context, string) (bare, error){
		"file": newFiles, "bolt": newEntries, "nothing": newNothing, "s3": newObjects,
	}
	open, ok := kinds[kind]
	if !ok {
		return fmt.Errorf("there is no bare server of kind %q", kind)
	}
	store, err := open(ctx, where)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listenLine + listener.Addr().String())
	front := &front{store: store, versions: map[string]uint64{}}
	server := &http.Server{Handler: front.routes(), ReadHeaderTimeout: patience}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// front speaks as much of a guardian's protocol as guardianctl bench needs.
type front struct {
	store    bare
	mu       sync.Mutex
	versions map[string]uint64
}

func (f *front) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.RouteV1Health, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.HealthResponse{Status: "ok"}, nil)
	})
	mux.HandleFunc("POST "+api.RoutePush, f.push)
	mux.HandleFunc("POST "+api.RoutePull, f.pull)
	return mux
}

func (f *front) push(w http.ResponseWriter, r *http.Request) {
	var request api.PushRequest
	share, err := []byte(nil), read(r, &request)
	if err == nil {
		share, err = base64.StdEncoding.DecodeString(request.Share)
	}
	if err == nil && request.Version == nil {
		err = errors.New("no version")
	}
	if err == nil {
		err = f.store.put(r.Context(), request.Identity, share, *request.Version)
	}
	if err == nil {
		f.mu.Lock()
		f.versions[request.Identity] = *request.Version
		f.mu.Unlock()
	}
	answer(w, api.PushResponse{Status: "stored"}, err)
}

func (f *front) pull(w http.ResponseWriter, r *http.Request) {
	var request api.PullRequest
	err := read(r, &request)
	if err != nil {
		answer(w, nil, err)
		return
	}
	f.mu.Lock()
	version := f.versions[request.Identity]
	f.mu.Unlock()
	share, err := f.store.get(r.Context(), request.Identity)
	answer(w, api.PullResponse{Share: base64.StdEncoding.EncodeToString(share), Version: version}, err)
}

func read(r *http.Request, request any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, api.MaxPushBody))
	if err != nil {
		return err
	}
	return json.Unmarshal(body, request)
}

func answer(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

// until tries until it succeeds or patience ends.
func until(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(2 * time.Millisecond):
		}
	}
}
