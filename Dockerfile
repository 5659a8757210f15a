# The relay as an image. Builds with BuildKit and without, from a checkout and crates.io alone; no database is needed,
# because .sqlx holds the checked form of every query.

FROM rust:1.95-bookworm AS build
WORKDIR /build
ENV SQLX_OFFLINE=true CARGO_TERM_COLOR=never
# First the dependencies, with an empty program around them: this layer is reused until Cargo.toml or Cargo.lock change.
# Examples and benchmarks are named in Cargo.toml but not in the image: their sections are left out.
COPY Cargo.toml Cargo.lock /manifest/
RUN awk '/^\[/ { out = /^\[\[(example|bench|test)\]\]/ } !out' /manifest/Cargo.toml >Cargo.toml \
 && cp /manifest/Cargo.lock . && mkdir src && echo 'fn main() {}' >src/main.rs && touch src/lib.rs \
 && cargo build --release --locked \
 && rm -r src
COPY migrations migrations
COPY .sqlx .sqlx
COPY docs/security.md docs/security.md
COPY src src
# Newer than what the empty program left, or cargo takes that for up to date.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin transak-relay \
 && install -D --mode 755 target/release/transak-relay /image/usr/local/bin/transak-relay \
 # The C library it is linked to, where the program looks for it: all that it needs of a distribution.
 && ldd target/release/transak-relay | grep --only-matching '/[^ ]*' | xargs -I{} install -D {} /image{} \
 && install -d --mode 700 --owner 10001 --group 10001 /image/var/lib/transak-relay/spool \
 && install -D --mode 644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt

# No shell, no package, no user database: nothing to keep up to date but the program itself.
FROM scratch
COPY --from=build /image /
ENV RELAY_LISTEN=0.0.0.0:8080 \
    RELAY_SPOOL_DIR=/var/lib/transak-relay/spool \
    RELAY_LOG_FORMAT=json
USER 10001:10001
EXPOSE 8080
VOLUME /var/lib/transak-relay/spool
STOPSIGNAL SIGTERM
# Without a shell: the program asks itself whether it lives.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
  CMD ["/usr/local/bin/transak-relay", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/transak-relay"]
CMD ["serve"]
