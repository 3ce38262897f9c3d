package web

import (
	"context"
	"net/http"
	"net/url"
)

// channelsPath is where the channels are had that other gateways list for everybody.
const channelsPath = "/api/v1/channels"

// Directories asks gateways for the channels that they list for everybody.
type Directories interface {
	// Channels asks a gateway, by its petname or ID or a link of it; "" is all peers and this gateway.
	Channels(ctx context.Context, gateway string) (Catalogue, error)
	// TableChannels asks the gateways that the distributed hash table names.
	TableChannels(ctx context.Context) (Catalogue, error)
}

// Catalogue is what gateways list.
type Catalogue struct {
	Channels []Listed  `json:"channels"` // by owner and name
	Silent   []Silence `json:"silent"`   // gateways that do not tell
}

// Listed is a channel that its owner lists for everybody.
type Listed struct {
	Owner       string   `json:"owner"` // ID
	Petname     string   `json:"petname,omitempty"`
	Name        string   `json:"name"` // at the owner
	Path        string   `json:"path"` // under which players ask for it here
	Link        string   `json:"link"` // by which others have it, and "gateway link" gives its owner a petname
	Title       string   `json:"title"`
	Description string   `json:"description,omitempty"`
	Language    string   `json:"language,omitempty"` // BCP 47
	Tags        []string `json:"tags,omitempty"`
	Access      string   `json:"access"` // who may have it: listed, open or members
	Live        bool     `json:"live"`
}

// Silence is why a gateway tells nothing.
type Silence struct {
	Gateway string `json:"gateway"`
	Err     string `json:"err"`
}

// FetchChannels asks the gateway that runs with a data folder for the channels that a gateway lists, or all its peers.
func FetchChannels(ctx context.Context, folder, gateway string) (Catalogue, error) {
	var c Catalogue
	err := call(ctx, folder, http.MethodGet, channelsPath+"?gateway="+url.QueryEscape(gateway), nil, &c)
	return c, err
}

// FetchTableChannels asks the gateway that runs with a data folder for the channels of gateways in the distributed hash table.
func FetchTableChannels(ctx context.Context, folder string) (Catalogue, error) {
	var c Catalogue
	err := call(ctx, folder, http.MethodGet, channelsPath+"?dht=true", nil, &c)
	return c, err
}

func handleChannels(mux *http.ServeMux, d Directories) {
	mux.HandleFunc("GET "+channelsPath, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		ask := func() (Catalogue, error) { return d.Channels(r.Context(), q.Get("gateway")) }
		if q.Get("dht") == "true" {
			ask = func() (Catalogue, error) { return d.TableChannels(r.Context()) }
		}
		c, err := ask()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answerJSON(w, http.StatusOK, c)
	})
}
