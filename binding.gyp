{
  # The native data plane as one addon. Sources are found by folder: a new file needs no line here (the build configures
  # again when the list changes). Hidden visibility is vital: node itself exports llhttp's symbols, of another version.
  # A small program beside it keeps descriptors while the daemon is restarted (native/kernel/descriptor_store.h).
  # ISA-L does the block code's arithmetic where it is there; it is optional (native/repair/galois.cc).
  "variables": {
    "isal%": "<!(pkg-config --exists libisal 2>/dev/null && echo yes || echo no)"
  },
  "targets": [
    {
      "target_name": "sluice",
      "sources": [
        "<!@(node -p \"['codec','kernel','secure','objects','http','repair','membership','plane','addon'].map(d=>'native/'+d).concat('native/third_party/llhttp').filter(d=>fs.existsSync(d)).flatMap(d=>fs.readdirSync(d).filter(f=>/\\.(cc|c)$/.test(f)).sort().map(f=>d+'/'+f)).join(' ')\")"
      ],
      "include_dirs": [
        "native",
        "native/third_party/llhttp",
        "<!(node -p \"require('node-addon-api').include_dir\")"
      ],
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_GNU_SOURCE"],
      "cflags": ["-fvisibility=hidden", "-O2", "-g", "-Wall", "-Wextra"],
      "cflags!": ["-O3", "-fno-exceptions"],
      "cflags_cc": ["-std=c++20", "-fvisibility-inlines-hidden", "-fexceptions", "-frtti"],
      "cflags_cc!": ["-fno-rtti", "-std=gnu++17", "-std=gnu++20", "-fno-exceptions"],
      "ldflags": ["-Wl,--exclude-libs,ALL"],
      "conditions": [
        ["isal=='yes'", {
          "defines": ["SLUICE_ISAL"],
          "cflags": ["<!@(pkg-config --cflags libisal)"],
          "libraries": ["<!@(pkg-config --libs libisal)"]
        }]
      ]
    },
    {
      "target_name": "sluice-keeper",
      "type": "executable",
      "sources": ["native/keeper/main.cc", "native/kernel/descriptor_store.cc", "native/kernel/notify.cc", "native/kernel/reactor.cc", "native/kernel/address.cc"],
      "include_dirs": ["native"],
      "defines": ["_GNU_SOURCE"],
      "cflags": ["-O2", "-g", "-Wall", "-Wextra"],
      "cflags!": ["-O3"],
      "cflags_cc": ["-std=c++20"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"]
    }
  ]
}
