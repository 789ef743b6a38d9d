package sandbox

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

var openaiImages = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

// openaiImage reads the address of an image, which may hold it.
func openaiImage(url, param string) (line string, bad *fault) {
	if strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://") {
		return MediaURL("image", url), nil
	}
	if !strings.HasPrefix(url, "data:") {
		return "", openaiFault(param, "invalid_value", "Invalid '%s'. Expected a valid URL, but got a value with an invalid format.", param)
	}
	mediaType, data, ok := dataURL(url)
	switch {
	case !ok:
		return "", openaiFault(param, "invalid_base64", "Invalid '%s'. Expected a base64-encoded data URL with an image MIME type (e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got a value that is not one.", param)
	case !slices.Contains(openaiImages, mediaType):
		return "", openaiFault(param, "invalid_image_format", "You uploaded an unsupported image. Please make sure your image is of one of the following formats: ['png', 'jpeg', 'gif', 'webp'].")
	}
	return Media(mediaType, data), nil
}

func openaiAudio(audio gjson.Result, param string) (line string, bad *fault) {
	data, err := decodeBase64(audio.Get("data").Str)
	if err != nil || len(data) == 0 {
		return "", openaiFault(param, "invalid_base64", "Invalid '%s'. Expected base64-encoded audio.", param)
	}
	return Media(map[string]string{"wav": "audio/wav", "mp3": "audio/mpeg"}[audio.Get("format").Str], data), nil
}

// openaiFile reads a file that is given by exactly one of its data, its id and, in Responses, its address.
func openaiFile(file gjson.Result, url, param string) (line string, bad *fault) {
	data, id := file.Get("file_data").Str, file.Get("file_id").Str
	n := 0
	for _, way := range []string{data, id, url} {
		if way != "" {
			n++
		}
	}
	if n != 1 {
		return "", openaiFault(param, "invalid_value", "Invalid '%s': exactly one of the ways to give a file is required.", param)
	}
	switch {
	case id != "":
		return MediaURL("document", id), nil
	case url != "":
		return MediaURL("document", url), nil
	case file.Get("filename").Str == "":
		return "", openaiFault(param+".filename", "missing_required_parameter", "Missing required parameter: '%s.filename'.", param)
	}
	mediaType, content, ok := dataURL(data)
	if !ok {
		return "", openaiFault(param+".file_data", "invalid_value", "Invalid '%s.file_data'. Expected a base64-encoded data URL with a MIME type (e.g. 'data:application/pdf;base64,aGVsbG8='), but got a value that is not one.", param)
	}
	return Media(mediaType, content), nil
}
