package tollgatehttp

import (
	"net/http"
	"net/netip"
	"strings"
)

// PeerIP is the address that the request's connection comes from, without its port; "" where
// there is none, as with a Unix socket. Behind a proxy that is the proxy: there, have the
// policy read the list that the proxies write.
//
//	[attribute.ip]
//	kind = "ip"
//	forwarded = "forwarded-for"
//	trusted_hops = 1
//
// with Attribute("ip", PeerIP) and Attribute("forwarded-for", Header("X-Forwarded-For")).
// What a client puts in front of the list is not looked at. Where the header is missing
// altogether, the peer's own address counts.
func PeerIP(r *http.Request) string {
	if ip := peer(r); ip.IsValid() {
		return ip.String()
	}
	return ""
}

// ByIP is a key for [Keyed]: the address of the connection, of IPv6 the first 64 bits, as
// whoever has one of them has all. IPv4 that is written as IPv6 is the same client.
func ByIP(r *http.Request) string {
	ip := peer(r)
	if !ip.IsValid() {
		return ""
	}
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return ""
	}
	return prefix.String()
}

func peer(r *http.Request) netip.Addr {
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return at.Addr().Unmap().WithZone("")
	}
	// Some put an address alone there.
	ip, err := netip.ParseAddr(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap().WithZone("")
}

// Header is a header field: several lines of one name are joined by commas, in their order.
func Header(name string) func(*http.Request) string {
	return func(r *http.Request) string {
		return strings.Join(r.Header.Values(name), ",")
	}
}

// Pattern is the pattern by which the ServeMux routes the request, such as
// "GET /users/{id}". Inside of a ServeMux it is known already, and mux may be nil; outside,
// that one is asked.
func Pattern(mux *http.ServeMux) func(*http.Request) string {
	return func(r *http.Request) string {
		if r.Pattern != "" || mux == nil {
			return r.Pattern
		}
		_, pattern := mux.Handler(r)
		return pattern
	}
}

// PathValue is a wildcard of the pattern by which a ServeMux routed the request: inside of
// it.
func PathValue(name string) func(*http.Request) string {
	return func(r *http.Request) string { return r.PathValue(name) }
}
