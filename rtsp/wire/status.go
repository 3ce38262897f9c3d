package wire

// StatusText returns the usual reason of a status: that of RFC 2326 §7.1.1, or of RFC 7826 §17 and RFC 6585 §5 for
// those that came later; "" if there is none.
func StatusText(status int) string {
	switch status {
	case 100:
		return "Continue"
	case 200:
		return "OK"
	case 201:
		return "Created"
	case 250:
		return "Low on Storage Space"
	case 300:
		return "Multiple Choices"
	case 301:
		return "Moved Permanently"
	case 302:
		return "Moved Temporarily"
	case 303:
		return "See Other"
	case 304:
		return "Not Modified"
	case 305:
		return "Use Proxy"
	}
	if status >= 500 {
		return serverErrorText(status)
	}
	return clientErrorText(status)
}

func clientErrorText(status int) string {
	switch status {
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 402:
		return "Payment Required"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 406:
		return "Not Acceptable"
	case 407:
		return "Proxy Authentication Required"
	case 408:
		return "Request Time-out"
	case 410:
		return "Gone"
	case 411:
		return "Length Required"
	case 412:
		return "Precondition Failed"
	case 413:
		return "Request Entity Too Large"
	case 414:
		return "Request-URI Too Large"
	case 415:
		return "Unsupported Media Type"
	case 429:
		return "Too Many Requests"
	case 431:
		return "Request Header Fields Too Large"
	case 451:
		return "Parameter Not Understood"
	case 452:
		return "Conference Not Found"
	case 453:
		return "Not Enough Bandwidth"
	case 454:
		return "Session Not Found"
	case 455:
		return "Method Not Valid in This State"
	case 456:
		return "Header Field Not Valid for Resource"
	case 457:
		return "Invalid Range"
	case 458:
		return "Parameter Is Read-Only"
	case 459:
		return "Aggregate operation not allowed"
	case 460:
		return "Only aggregate operation allowed"
	case 461:
		return "Unsupported transport"
	case 462:
		return "Destination unreachable"
	case 463:
		return "Destination Prohibited"
	case 464:
		return "Data Transport Not Ready Yet"
	case 465:
		return "Notification Reason Unknown"
	case 466:
		return "Key Management Error"
	case 470:
		return "Connection Authorization Required"
	case 471:
		return "Connection Credentials Not Accepted"
	case 472:
		return "Failure to Establish Secure Connection"
	}
	return ""
}

func serverErrorText(status int) string {
	switch status {
	case 500:
		return "Internal Server Error"
	case 501:
		return "Not Implemented"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Gateway Time-out"
	case 505:
		return "RTSP Version not supported"
	case 551:
		return "Option not supported"
	case 553:
		return "Proxy Unavailable"
	}
	return ""
}
