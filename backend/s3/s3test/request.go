package s3test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Request is one HTTP request that reached a [Proxy]: one attempt of a client.
type Request struct {
	// N counts the requests from 1, in the order they arrived.
	N           int
	Method      string
	Bucket, Key string
	Query       string
	// Header is as the client sent it.
	Header http.Header
	// Start is when the request arrived, End when its answer was about to be
	// sent, so that whatever the client did because of it came later. End is
	// zero until then.
	Start, End time.Time
	// Status is what the client was answered, 0 until then and if nothing was.
	Status int
}

func newRequest(r *http.Request) Request {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return Request{
		Method: r.Method, Bucket: bucket, Key: key, Query: r.URL.RawQuery,
		Header: r.Header.Clone(), Start: time.Now(),
	}
}

// operations are told apart by method, what the path names and a parameter of
// the query; the first that fits counts.
var operations = []struct {
	method        string
	bucket, key   bool
	parameter, op string
}{
	{http.MethodGet, false, false, "", "ListBuckets"},
	{http.MethodGet, true, false, "list-type", "ListObjectsV2"},
	{http.MethodGet, true, false, "location", "GetBucketLocation"},
	{http.MethodGet, true, false, "versioning", "GetBucketVersioning"},
	{http.MethodGet, true, false, "versions", "ListObjectVersions"},
	{http.MethodGet, true, false, "", "ListObjects"},
	{http.MethodHead, true, false, "", "HeadBucket"},
	{http.MethodPut, true, false, "policy", "PutBucketPolicy"},
	{http.MethodPut, true, false, "versioning", "PutBucketVersioning"},
	{http.MethodPut, true, false, "", "CreateBucket"},
	{http.MethodPost, true, false, "delete", "DeleteObjects"},
	{http.MethodDelete, true, false, "", "DeleteBucket"},
	{http.MethodGet, true, true, "", "GetObject"},
	{http.MethodHead, true, true, "", "HeadObject"},
	{http.MethodPut, true, true, "", "PutObject"},
	{http.MethodDelete, true, true, "", "DeleteObject"},
}

// Op names the operation as S3's documentation does: PutObject, HeadBucket and
// so on. "" is one that neither a guardian nor its tests use.
func (r Request) Op() string {
	query, _ := url.ParseQuery(r.Query) // what of it makes sense
	if id := query.Get("x-id"); id != "" {
		return id // the SDK says it itself where one path has several
	}
	for _, o := range operations {
		fits := o.method == r.Method && o.bucket == (r.Bucket != "") && o.key == (r.Key != "")
		if fits && (o.parameter == "" || query.Has(o.parameter)) {
			return o.op
		}
	}
	return ""
}

// RoundTrips returns the length of the longest chain of requests each of which
// began after the one before had ended: how many sequential round trips an
// operation took, provided that each request is slowed down enough for those
// sent side by side to overlap.
func RoundTrips(requests []Request) int {
	chain := slices.SortedFunc(slices.Values(requests), byEnd)
	trips := 0
	var end time.Time
	for _, r := range chain {
		if trips == 0 || !end.IsZero() && !r.Start.Before(end) {
			trips, end = trips+1, r.End
		}
	}
	return trips
}

// byEnd puts those last that are still under way.
func byEnd(a, b Request) int {
	switch {
	case a.End.IsZero() && b.End.IsZero():
		return 0
	case a.End.IsZero():
		return 1
	case b.End.IsZero():
		return -1
	}
	return a.End.Compare(b.End)
}
