package httpapi

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/docs"
)

// probe is the answer of the endpoints that balancers ask.
type probe struct {
	Status string `json:"status"`
}

func (s *server) alive(c echo.Context) error {
	return c.JSON(http.StatusOK, probe{Status: "ok"})
}

func (s *server) ready(c echo.Context) error {
	if err := s.cfg.Health.Ready(); err != nil {
		body, status := api.NewErrorResponse(api.ErrStorageUnavailable)
		body.Error, body.Reason = "not ready", err.Error()
		s.answerError(c, status, body)
		return nil
	}
	return c.JSON(http.StatusOK, probe{Status: "ok"})
}

// healthWord is what this guardian thinks of itself and of the cluster that it
// knows.
func (s *server) healthWord(v cluster.View) string {
	needed := cmp.Or(s.cfg.Node.HighestThreshold(), v.Threshold)
	switch {
	case !s.cfg.Health.StorageOK():
		return "unhealthy"
	case v.Registry && v.Reached && v.Alive < needed:
		return "degraded"
	}
	return "ok"
}

func (s *server) health(c echo.Context) error {
	v := s.cfg.Cluster.View()
	shares, approximate := s.cfg.Node.ShareCount()
	ok := s.cfg.Health.StorageOK()
	return c.JSON(http.StatusOK, api.HealthResponse{
		Status:    s.healthWord(v),
		Version:   api.Version,
		Shares:    shares,
		Peers:     peersOf(v),
		StorageOK: ok, DataDirOK: ok,
		SharesApproximate: approximate,
	})
}

// peersOf counts the other members.
func peersOf(v cluster.View) int { return len(v.Members) - 1 }

func (s *server) status(c echo.Context) error {
	v := s.cfg.Cluster.View()
	node := s.cfg.Node
	key, _ := s.cfg.Cluster.KeyOf(node.NodeID())
	shares, approximate := node.ShareCount()
	return c.JSON(http.StatusOK, api.StatusResponse{
		Status:       s.healthWord(v),
		Version:      api.Version,
		DataDir:      node.Location(),
		ClientPort:   s.cfg.ClientPort,
		PeerPort:     s.cfg.PeerPort,
		NodeID:       node.NodeID(),
		NodeKey:      hex.EncodeToString(key),
		Storage:      s.cfg.Storage,
		Index:        v.Index,
		RosterSerial: v.RosterSerial,
		Peers:        peersOf(v),
		Alive:        v.Alive,
		Threshold:    v.Threshold,
		WriteQuorum:  v.WriteQuorum,
		PrimaryKeyID: node.PrimaryKeyID(),
		Quarantined:  node.Quarantined(),
		Shares:       shares, SharesApproximate: approximate,
		UptimeSeconds: time.Since(s.started).Seconds(),
	})
}

func (s *server) guardians(c echo.Context) error {
	v := s.cfg.Cluster.View()
	all := make([]api.GuardianInfo, len(v.Members))
	for i, m := range v.Members {
		all[i] = infoOf(m)
		if m.Self {
			all[i].ShareCount, all[i].ShareCountApprox = s.cfg.Node.ShareCount()
		}
	}
	return c.JSON(http.StatusOK, api.GuardiansResponse{
		Guardians: all, Threshold: v.Threshold, WriteQuorum: v.WriteQuorum, Total: len(all),
	})
}

func infoOf(m cluster.MemberView) api.GuardianInfo {
	address, port := hostPort(m.ClientURL)
	return api.GuardianInfo{
		NodeID:          m.NodeID,
		Address:         address,
		Port:            port,
		URL:             m.ClientURL,
		State:           string(m.State),
		Index:           m.Index,
		LastSeenSeconds: m.Silent.Seconds(),
		ShareCount:      m.Shares, ShareCountApprox: true,
		FailureDomain: m.FailureDomain,
		NodeKey:       hex.EncodeToString(m.PublicKey),
	}
}

// roster shows clients what they can check against the admission key.
func (s *server) roster(c echo.Context) error {
	signed := s.cfg.Cluster.SignedRoster()
	if signed == nil {
		return api.ErrNoRoster
	}
	return c.JSON(http.StatusOK, api.RosterResponse{Roster: base64.StdEncoding.EncodeToString(signed)})
}

// hostPort splits a URL that was validated before, or is empty; a port that it
// leaves out is that of its scheme.
func hostPort(rawURL string) (host string, port int) {
	u, err := url.Parse(rawURL)
	if err != nil || rawURL == "" {
		return "", 0
	}
	if port, err = strconv.Atoi(u.Port()); err == nil {
		return u.Hostname(), port
	}
	if u.Scheme == "https" {
		return u.Hostname(), 443
	}
	return u.Hostname(), 80
}

func serveOpenAPI(c echo.Context) error {
	return c.Blob(http.StatusOK, "application/yaml", docs.OpenAPI)
}
