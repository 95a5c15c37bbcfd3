#!/bin/bash
# Records fixtures/pcap/demo-{high,low}.pcap and their dissections: a test picture with its time code and a changing
# tone, encoded by ffmpeg as H.264/AAC in MPEG-TS of constant rate, sent as RTP (RFC 2250) to a multicast group on the
# loopback interface of a network namespace of its own, and captured there by tcpdump.
#
#   scripts/record-fixtures.sh [FOLDER]        default: fixtures/pcap
#
# Needs ffmpeg, tcpdump, tshark (with editcap), DejaVu Sans Mono; root, or a kernel that lets users unshare. 30 seconds.
set -euo pipefail

folder=$(realpath "${1:-$(dirname "$0")/../fixtures/pcap}")
if [ "${SLUICE_RECORDING:-}" != yes ]; then
  if [ "$(id -u)" = 0 ]; then flags=-n; else flags=-Urn; fi
  SLUICE_RECORDING=yes exec unshare $flags -- "$0" "$folder"
fi

scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$scratch"' EXIT
ip link set lo up multicast on
ip route add 239.0.0.0/8 dev lo src 127.0.0.1

# 25 pictures a second, closed groups of exactly 2 s at the same pictures in both renditions. One audio frame is 1024/48000 s,
# so that 16 s are both 8 groups and 750 audio frames: the clip closes on itself.
font=/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf
# The hiss keeps the audio frames near their mean size: of two very small ones the multiplexer would make one PES packet.
tone="0.2*sin(2*PI*(300+100*floor(mod(t\\,16)/2))*t)+0.03*(random(0)-0.5)"
text="drawtext=fontfile=$font:timecode='00\:00\:00\:00':rate=25:fontsize=32:fontcolor=white:box=1:boxcolor=black@0.6:x=(w-tw)/2:y=h-60"
gop="keyint=50:min-keyint=50:scenecut=0:open-gop=0:bframes=2:b-pyramid=none"
h264() { echo "-c:v libx264 -preset slow -pix_fmt yuv420p -profile:v $1 -b:v $2 -maxrate $3 -bufsize $3 -x264-params $gop"; }
echo "encoding 19 s"
ffmpeg -nostdin -v error \
  -f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i "aevalsrc=$tone:s=48000:c=mono" \
  -filter_complex "[0:v]$text,split[high][b];[b]scale=320:180[low]" \
  -map "[high]" -map 1:a $(h264 high 800k 850k) -c:a aac -b:a 64k -t 18.8 "$scratch/high.nut" \
  -map "[low]" -map 1:a $(h264 main 280k 300k) -c:a aac -b:a 48k -t 18.8 "$scratch/low.nut"

# record NAME GROUP RATE: RATE is a multiple of 94 bit/s, so that 16 s are a whole number of TS packets. One audio frame per
# PES packet keeps audio and video interleaved alike at both ends of the clip.
record() {
  tcpdump -i lo -n -p -U --immediate-mode -B 32768 -Z "$(id -un)" -w "$scratch/$1.pcap" "host $2 and udp" 2> "$scratch/$1.log" &
  local dump=$!
  until grep -qs "listening on" "$scratch/$1.log"; do kill -0 $dump; sleep 0.1; done
  ffmpeg -nostdin -v error -re -i "$scratch/$1.nut" -c copy -t 18.6 -f rtp_mpegts \
    -mpegts_muxer_options "muxrate=$3:pes_payload_size=1:pcr_period=20:pat_period=0.5:sdt_period=2" "rtp://$2:5000?ttl=1"
  kill -INT $dump
  wait $dump
  grep -q "^0 packets dropped by kernel" "$scratch/$1.log"
}
echo "sending and capturing 19 s"
record high 239.255.0.1 1128000 & one=$!
record low 239.255.0.2 451200 & two=$!
wait $one
wait $two

# The first group is left out (the encoders and the multiplexer settle in it), and what follows the start of the tenth.
dissect="-T fields -E header=y -E occurrence=a -E aggregator=, -e frame.number -e frame.time_epoch -e frame.cap_len
  -e ip.src -e udp.srcport -e ip.dst -e udp.dstport -e udp.length -e rtp.seq -e rtp.timestamp -e rtp.ssrc
  -e mp2t.pid -e mp2t.cc"
finish() {
  local first=$(($2 * 2 / 8 / 1316 - 6)) last=$(($2 * 18 / 8 / 1316 + 12))
  editcap -F pcap -r "$scratch/$1.pcap" "$folder/demo-$1.pcap" "$first-$last"
  tshark -n -r "$folder/demo-$1.pcap" -d udp.port==5000,rtp $dissect 2>/dev/null |
    sed 's/0x0000//g' > "$folder/demo-$1.tshark.txt"
  awk -F '\t' 'NR > 2 && $9 != "" && $9 != (last + 1) % 65536 { print "lost before frame " $1; bad = 1 } $9 != "" { last = $9 }
    END { exit bad }' "$folder/demo-$1.tshark.txt"
}
finish high 1128000
finish low 451200
ls -l "$folder"
