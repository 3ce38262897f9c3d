#!/bin/sh
# Makes clip.mp4, the clip of the source "demo:". Needs ffmpeg 5 or later and the DejaVu fonts (Debian: ffmpeg, fonts-dejavu-core).
#
# 16 s at 30 pictures a second and 48,000 samples a second are 480 pictures and exactly 750 AAC frames of 1024 samples, so
# the clip follows itself for ever without a gap and without drift. The tones have whole periods in 16 s; their middle third
# is cut out of 48 s, so the encoder is past its start and the last frame overlaps with the first as with any other.
#
# The picture shows time and picture number, a square that goes round a dial in 16 s, another that swings in 4 s, a
# flash with each second's beep and, at the bottom, the picture number in binary: nine squares, the most significant on the
# left, white for one.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mono=/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf

dial=
for xy in 506,58 606,158 506,258 406,158; do
	dial="$dial,drawbox=x=${xy%,*}:y=${xy#*,}:w=4:h=4:color=white:t=fill"
done

bits=
for k in 0 1 2 3 4 5 6 7 8; do
	x=$((24 + (8 - k) * 32))
	bits="$bits,drawbox=x=$x:y=312:w=28:h=28:color=0x404860:t=fill"
	bits="$bits,drawbox=x=$x:y=312:w=28:h=28:color=white:t=fill:enable='mod(floor(n/pow(2,$k)),2)'"
done

ffmpeg -v error -f lavfi \
	-i "aevalsrc='0.06*sin(2*PI*440*t)+0.3*sin(2*PI*880*t)*lt(mod(t,1),0.1)':s=48000:d=48" \
	-c:a aac -b:a 40k "$tmp/tone.mka"
ffmpeg -v error -i "$tmp/tone.mka" -c:a copy -bsf:a "noise=drop='lt(n,751)+gt(n,1500)',setts=ts=N*1024/48000/TB" "$tmp/cut.mka"

ffmpeg -v error -y \
	-f lavfi -i "color=c=0x182040:s=640x360:r=30:d=16" \
	-f lavfi -i "color=c=0xffb020:s=28x28:r=30:d=16" \
	-f lavfi -i "color=c=0xff4060:s=36x36:r=30:d=16" \
	-i "$tmp/cut.mka" \
	-filter_complex "
		[0]drawtext=fontfile=$mono:text='%{eif\:n\:d\:3}':x=24:y=40:fontsize=150:fontcolor=white,
		drawtext=fontfile=$mono:text='%{pts\:hms}':x=24:y=210:fontsize=44:fontcolor=0x80e0ff,
		drawtext=fontfile=$mono:text='peergate demo':x=24:y=270:fontsize=24:fontcolor=0xa0a8c0
		$dial$bits[text];
		[text][1]overlay=x='494+100*sin(2*PI*t/16)':y='146-100*cos(2*PI*t/16)':shortest=1[clock];
		[clock][2]overlay=x='330+270*(0.5-0.5*cos(2*PI*t/4))':y=306:shortest=1,
		drawbox=x=600:y=12:w=28:h=28:color=0xffff40:t=fill:enable='lt(mod(n,30),3)',
		setsar=0,format=yuv420p[v]" \
	-map '[v]' -map 3:a \
	-c:v libx264 -profile:v baseline -preset veryslow -tune animation -crf 27 -bf 0 -g 30 -keyint_min 30 -sc_threshold 0 \
	-maxrate 400k -bufsize 400k -x264-params "info=0" -c:a copy \
	-map_metadata -1 -fflags +bitexact -flags:v +bitexact -video_track_timescale 90000 -write_btrt 0 -movflags +frag_keyframe+empty_moov+default_base_moof -frag_duration 8000000 \
	clip.mp4
