package peer

import (
	"crypto/tls"
	"errors"
	"time"
)

// ErrWrongKey reports a server that has not the key of the member that was
// dialled. Nothing was sent to it.
var ErrWrongKey = errors.New("who answers there has not the member's key")

var (
	errUnknownKey = errors.New("its key is not that of a member")
	errOtherName  = errors.New("its key is that of another member than it says")
)

// base is what both sides insist on. The key exchange is the first of Go's
// defaults; as the only one it cannot be negotiated down. A ticket would let a
// removed member back in, so there are none.
func base(verify func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768},
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
		VerifyConnection:       verify,
	}
}

// serverTLS asks for a certificate and names no authority.
func serverTLS(own *certificates, verify func(tls.ConnectionState) error) *tls.Config {
	config := base(verify)
	config.ClientAuth = tls.RequireAnyClientCert
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.get() }
	return config
}

// clientTLS completes a handshake with the holder of the member's key only.
func clientTLS(own *certificates, member claim) *tls.Config {
	config := base(func(state tls.ConnectionState) error {
		shown, err := readClaim(state.PeerCertificates, time.Now())
		if err != nil {
			return err
		}
		if !shown.key.Equal(member.key) || shown.nodeID != member.nodeID {
			return ErrWrongKey
		}
		return nil
	})
	config.InsecureSkipVerify = true // of authorities and host names: VerifyConnection demands the one key
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.get() }
	return config
}

// memberOf returns the member that the other side of a connection is, now.
func memberOf(state tls.ConnectionState, members Members) (claim, error) {
	shown, err := readClaim(state.PeerCertificates, time.Now())
	if err != nil {
		return claim{}, err
	}
	node, known := members.NodeOf(shown.key)
	pinned, ok := members.KeyOf(shown.nodeID)
	switch {
	case !known:
		return claim{}, errUnknownKey
	case node != shown.nodeID || !ok || !shown.key.Equal(pinned):
		return claim{}, errOtherName
	}
	return shown, nil
}
