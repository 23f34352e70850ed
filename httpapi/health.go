package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/docs"
	"github.com/vault-guardian/guardian/quorum"
)

// aloneAlive is how many guardians are known alive without a registry: this.
const aloneAlive = 1

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

func (s *server) healthWord() string {
	if s.cfg.Health.StorageOK() {
		return "ok"
	}
	return "unhealthy"
}

func (s *server) health(c echo.Context) error {
	shares, approximate := s.cfg.Node.ShareCount()
	ok := s.cfg.Health.StorageOK()
	return c.JSON(http.StatusOK, api.HealthResponse{
		Status:    s.healthWord(),
		Version:   api.Version,
		Shares:    shares,
		StorageOK: ok, DataDirOK: ok,
		SharesApproximate: approximate,
	})
}

func (s *server) status(c echo.Context) error {
	node := s.cfg.Node
	shares, approximate := node.ShareCount()
	return c.JSON(http.StatusOK, api.StatusResponse{
		Status:       s.healthWord(),
		Version:      api.Version,
		DataDir:      node.Location(),
		ClientPort:   s.cfg.ClientPort,
		NodeID:       node.NodeID(),
		Storage:      s.cfg.Storage,
		Alive:        aloneAlive,
		Threshold:    quorum.Threshold(aloneAlive),
		WriteQuorum:  quorum.WriteQuorum(aloneAlive),
		PrimaryKeyID: node.PrimaryKeyID(),
		Quarantined:  node.Quarantined(),
		Shares:       shares, SharesApproximate: approximate,
		UptimeSeconds: time.Since(s.started).Seconds(),
	})
}

func (s *server) guardians(c echo.Context) error {
	shares, approximate := s.cfg.Node.ShareCount()
	address, port := hostPort(s.cfg.AdvertiseURL)
	return c.JSON(http.StatusOK, api.GuardiansResponse{
		Guardians: []api.GuardianInfo{{
			NodeID:     s.cfg.Node.NodeID(),
			Address:    address,
			Port:       port,
			URL:        s.cfg.AdvertiseURL,
			State:      "alive",
			ShareCount: shares, ShareCountApprox: approximate,
		}},
		Threshold:   quorum.Threshold(aloneAlive),
		WriteQuorum: quorum.WriteQuorum(aloneAlive),
		Total:       aloneAlive,
	})
}

// hostPort splits a URL that was validated before; a port that it leaves out
// is that of its scheme.
func hostPort(rawURL string) (host string, port int) {
	u, err := url.Parse(rawURL)
	if err != nil {
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
