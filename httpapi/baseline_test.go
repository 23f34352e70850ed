package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/vault-guardian/guardian/api"
)

// noop reads the body and gives always the same answer.
func noop(answer []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
}

// files keeps one file per identity, each write durable before its answer.
// It knows of no versions: every share is shown as version 1.
type files struct{ dir string }

func (f files) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(api.RoutePush, plainly(f.push))
	mux.Handle(api.RoutePull, plainly(f.pull))
	return mux
}

func (f files) push(request api.PushRequest) (api.PushResponse, error) {
	share, err := base64.StdEncoding.DecodeString(request.Share)
	if err != nil {
		return api.PushResponse{}, err
	}
	return api.PushResponse{Status: "stored"}, f.write(request.Identity, share)
}

func (f files) pull(request api.PullRequest) (api.PullResponse, error) {
	share, err := os.ReadFile(filepath.Join(f.dir, request.Identity))
	return api.PullResponse{Share: base64.StdEncoding.EncodeToString(share), Version: 1}, err
}

func (f files) write(name string, share []byte) error {
	temp, err := os.CreateTemp(f.dir, "")
	if err != nil {
		return err
	}
	_, err = temp.Write(share)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), filepath.Join(f.dir, name)); err != nil {
		return err
	}
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// plainly is a handler from JSON to JSON without any checks.
func plainly[Request, Response any](answer func(Request) (Response, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request Request
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &request)
		}
		var response Response
		if err == nil {
			response, err = answer(request)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(response)
	})
}
