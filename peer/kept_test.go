package peer

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipes connects to nobody: what is kept needs no answer.
func pipes(t *testing.T) (connect func() *http.ClientConn, hangUp func()) {
	t.Helper()
	var others []net.Conn
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		others = append(others, theirs)
		return ours, nil
	}}
	connect = func() *http.ClientConn {
		conn, err := transport.NewClientConn(t.Context(), "http", "peer:80")
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	return connect, func() {
		for _, other := range others {
			_ = other.Close()
		}
	}
}

func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, hangUp := pipes(t)
		k := new(kept)
		if k.take() != nil {
			t.Error("it has one from nowhere")
		}
		var conns []*http.ClientConn
		for range keptEach + 1 {
			conn := connect()
			k.put(conn)
			conns = append(conns, conn)
		}
		if len(k.waiting) != keptEach || conns[keptEach].Err() == nil {
			t.Errorf("%d are kept", len(k.waiting))
		}
		if k.take() != conns[keptEach-1] {
			t.Error("not the one used last")
		}
		time.Sleep(clientIdleTimeout - time.Second)
		k.put(conns[keptEach-1])
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(k.waiting) != 1 || conns[0].Err() == nil || conns[keptEach-1].Err() != nil {
			t.Errorf("after their time %d are kept", len(k.waiting))
		}
		k.put(connect())
		hangUp()
		synctest.Wait()
		if k.take() != nil || len(k.waiting) != 0 {
			t.Error("it gives out what the other side has closed")
		}
		k.put(conns[0])
		if len(k.waiting) != 0 {
			t.Error("it keeps what is closed")
		}
		last, later := connect(), connect()
		k.put(last)
		k.close()
		k.put(later)
		if last.Err() == nil || later.Err() == nil || k.take() != nil {
			t.Error("it keeps something behind close")
		}
	})
}

// A connection that is taken just when its time is over is not closed.
func TestKeptTakenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, hangUp := pipes(t)
		k := new(kept)
		k.put(connect())
		entry := k.waiting[0]
		conn := k.take()
		k.expire(entry)
		time.Sleep(2 * clientIdleTimeout)
		synctest.Wait()
		if conn.Err() != nil {
			t.Error(conn.Err())
		}
		hangUp()
		_ = conn.Close()
	})
}
