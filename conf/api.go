package conf

// API is how programs see what the gateway does. On this machine they have a socket in the data folder.
type API struct {
	Listen string `yaml:"listen"` // host:port of HTTP for those who have the token; "" is none
}

func (c *API) check(f faults) {
	if c.Listen != "" {
		listenAddress(f, "api.listen", c.Listen)
	}
}
