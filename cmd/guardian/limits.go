package main

import "github.com/vault-guardian/guardian/limit"

// defaultLimits are the limits that are on by default.
func (c *Config) defaultLimits() map[string]*int {
	return map[string]*int{
		"GUARDIAN_RATE_LIMIT_PER_ADDRESS":  &c.RateLimitPerAddress,
		"GUARDIAN_MAX_IN_FLIGHT_PER_ACTOR": &c.MaxInFlightPerActor,
	}
}

// liftLimits turns off the limits that nobody set.
func (c *Config) liftLimits(vars map[string]string) {
	for variable, number := range c.defaultLimits() {
		if vars[variable] == "" {
			*number = 0
		}
	}
}

func (c *Config) checkLimits(bad *problems) {
	for variable, number := range map[string]int64{
		"GUARDIAN_RATE_LIMIT_PER_ADDRESS":    int64(c.RateLimitPerAddress),
		"GUARDIAN_RATE_LIMIT_WRITES":         int64(c.RateLimitWrites),
		"GUARDIAN_RATE_LIMIT_READS":          int64(c.RateLimitReads),
		"GUARDIAN_RATE_LIMIT_NEW_IDENTITIES": int64(c.RateLimitNewIdentities),
		"GUARDIAN_MAX_IN_FLIGHT_PER_ACTOR":   int64(c.MaxInFlightPerActor),
		"GUARDIAN_QUOTA_BYTES":               c.QuotaBytes,
	} {
		bad.require(variable, number >= 0, "must not be negative; 0 turns it off")
	}
	var err error
	c.trustedProxies, err = limit.ParsePrefixes(c.TrustedProxies)
	bad.check("GUARDIAN_TRUSTED_PROXIES", err)
	c.exemptAddrs, err = limit.ParsePrefixes(c.RateLimitExempt)
	bad.check("GUARDIAN_RATE_LIMIT_EXEMPT", err)
	c.gatewayActors, err = parseList(c.GatewayActors)
	bad.check("GUARDIAN_GATEWAY_ACTORS", err)
}

// limits tells onRefused of every refusal.
func (c *Config) limits(onRefused func(limit string)) *limit.Limits {
	return limit.New(limit.Config{
		OnRefused:     onRefused,
		PerAddress:    c.RateLimitPerAddress,
		Writes:        c.RateLimitWrites,
		Reads:         c.RateLimitReads,
		NewIdentities: c.RateLimitNewIdentities,
		InFlight:      c.MaxInFlightPerActor,
		Exempt:        c.exemptAddrs,
		GatewayActors: c.gatewayActors,
	})
}
