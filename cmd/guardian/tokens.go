package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"

	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/awssecrets"
)

// checkTokens makes digests of the tokens in the variables, and forgets these:
// from here on no token is in memory as it was written, as far as the garbage
// collector goes. What another source puts aside is not even looked at.
func (c *Config) checkTokens(bad *problems) {
	c.putTokensAside()
	var err error
	if c.BearerTokensJSON != "" {
		c.fixedTokens, err = auth.ParseTokens([]byte(c.BearerTokensJSON))
		bad.check("GUARDIAN_SERVER_BEARER_TOKENS_JSON", err)
	}
	if c.BearerToken != "" {
		one, err := auth.NewTokens(map[string]string{"default": c.BearerToken})
		if err == nil {
			c.fixedTokens, err = c.fixedTokens.Merge(one)
		}
		bad.check("GUARDIAN_SERVER_BEARER_TOKEN", err)
	}
	c.BearerTokensJSON, c.BearerToken = "", ""
}

func (c *Config) putTokensAside() {
	fromSecret := c.BearerTokensAWSSecret != ""
	for _, other := range []struct {
		variable string
		value    *string
		aside    bool
	}{
		{"GUARDIAN_SERVER_BEARER_TOKENS_FILE", &c.BearerTokensFile, fromSecret},
		{"GUARDIAN_SERVER_BEARER_TOKENS_JSON", &c.BearerTokensJSON, fromSecret || c.BearerTokensFile != ""},
		{"GUARDIAN_SERVER_BEARER_TOKEN", &c.BearerToken, fromSecret},
	} {
		if other.aside && *other.value != "" {
			c.ignoredTokens = append(c.ignoredTokens, other.variable)
			*other.value = ""
		}
	}
}

func (c *Config) hasTokens() bool {
	return c.BearerTokensAWSSecret != "" || c.BearerTokensFile != "" || !c.fixedTokens.Empty()
}

// tokenSource is where the bearer tokens come from: the secret, or the file and
// what the variables say.
type tokenSource struct {
	secret *awssecrets.Secret
	file   string
	// variable names the file.
	variable string
	fixed    *auth.Tokens
}

func newTokenSource(ctx context.Context, cfg *Config, log *slog.Logger) (*tokenSource, error) {
	if len(cfg.ignoredTokens) > 0 {
		log.Warn(strings.Join(cfg.ignoredTokens, " and ") + ": ignored, the bearer tokens come from elsewhere")
	}
	s := &tokenSource{file: cfg.BearerTokensFile, variable: "GUARDIAN_SERVER_BEARER_TOKENS_FILE", fixed: cfg.fixedTokens}
	if cfg.BearerTokensAWSSecret == "" {
		warnIfReadable("token file", s.file, log)
		return s, nil
	}
	var err error
	s.secret, err = awssecrets.New(ctx, cfg.BearerTokensAWSSecret)
	return s, err
}

// changes reports whether the tokens can be others at another time.
func (s *tokenSource) changes() bool { return s.secret != nil || s.file != "" }

// tokens fetches what the tokens are now. Errors quote none of them.
func (s *tokenSource) tokens(ctx context.Context) (*auth.Tokens, error) {
	if !s.changes() {
		return s.fixed, nil
	}
	text, err := s.text(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := auth.ParseTokens(text)
	clear(text)
	if err == nil {
		tokens, err = tokens.Merge(s.fixed)
	}
	if err != nil {
		return nil, &exitError{
			exitConfig, fmt.Errorf("%s is no set of bearer tokens: %w", s, err),
			`store {"actor":"token"} in it, each actor and each token once`,
		}
	}
	return tokens, nil
}

func (s *tokenSource) text(ctx context.Context) ([]byte, error) {
	if s.secret != nil {
		return s.secret.Text(ctx)
	}
	text, err := readBounded(s.file, auth.MaxTokensSize)
	if err != nil {
		return nil, &exitError{
			exitConfig, fmt.Errorf("reading bearer tokens: %w", err),
			"make " + s.variable + " a file that this user can read",
		}
	}
	return text, nil
}

// String says where the tokens come from.
func (s *tokenSource) String() string {
	if s.secret != nil {
		return fmt.Sprintf("secret %q", s.secret)
	}
	return fmt.Sprintf("file %q", s.file)
}

// readBounded reads a file, of one that is longer than most one byte more than
// that.
func readBounded(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	return text, errors.Join(err, file.Close())
}

// bearers are the tokens that are taken now.
type bearers struct {
	source *tokenSource
	set    *auth.TokenSet

	mu     sync.Mutex
	latest *auth.Tokens
}

func openBearers(ctx context.Context, cfg *Config, log *slog.Logger) (*bearers, error) {
	source, err := newTokenSource(ctx, cfg, log)
	if err != nil {
		return nil, bootError(err)
	}
	return newBearers(ctx, source)
}

// openOperators returns nil where the admin plane asks for no token.
func openOperators(ctx context.Context, cfg *Config, log *slog.Logger) (*bearers, error) {
	if cfg.AdminTokensFile == "" {
		return nil, nil
	}
	warnIfReadable("token file", cfg.AdminTokensFile, log)
	return newBearers(ctx, &tokenSource{file: cfg.AdminTokensFile, variable: "GUARDIAN_ADMIN_TOKENS_FILE"})
}

func newBearers(ctx context.Context, source *tokenSource) (*bearers, error) {
	tokens, err := source.tokens(ctx)
	if err != nil {
		return nil, bootError(err)
	}
	return &bearers{source: source, set: auth.NewTokenSet(tokens), latest: tokens}, nil
}

// reload fetches the tokens again; changed reports that they are others now.
// On an error the last good ones stay.
func (b *bearers) reload(ctx context.Context) (changed bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	tokens, err := b.source.tokens(ctx)
	if err != nil {
		return false, err
	}
	if err := b.set.Replace(tokens); err != nil {
		return false, err
	}
	changed = !reflect.DeepEqual(tokens, b.latest)
	b.latest = tokens
	return changed, nil
}
