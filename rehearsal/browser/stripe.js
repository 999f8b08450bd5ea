/*
 * The rehearsal's Stripe.js: what a checkout page uses of https://js.stripe.com/endive/stripe.js.
 *
 * The card form is a frame served by the rehearsal. Card numbers live in that frame only; this script, which
 * runs in the shop's page, never sees them. Every message between the two names its origin and is checked.
 */
(function () {
  "use strict";

  if (window.Stripe) {
    return;
  }

  var script = document.currentScript;
  var origin = script ? new URL(script.src).origin : null;
  var frames = 0;

  var WORDS = {
    en: {
      frame: "Secure payment input frame",
      challenge: "Your bank's confirmation",
      voucher: "How to pay at a convenience store",
      cancel: "Cancel",
      offline: "We could not reach the payment service. Please check your connection and try again.",
      failed:
        "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
    },
    ja: {
      frame: "お支払い情報の安全な入力欄",
      challenge: "カード会社による本人確認",
      voucher: "コンビニでのお支払い方法",
      cancel: "キャンセル",
      offline: "決済サービスに接続できませんでした。通信環境をご確認のうえ、もう一度お試しください。",
      failed: "本人確認ができませんでした。別のお支払い方法をお選びのうえ、もう一度お試しください。",
    },
  };

  function IntegrationError(message) {
    var error = new Error(message);
    error.name = "IntegrationError";
    return error;
  }

  function language(locale) {
    var wanted = !locale || locale === "auto" ? navigator.language || "en" : String(locale);
    return wanted.toLowerCase().indexOf("ja") === 0 ? "ja" : "en";
  }

  function Emitter() {
    this._heard = {};
  }
  Emitter.prototype.on = function (type, listener) {
    if (typeof listener !== "function") {
      throw IntegrationError("on() needs the name of an event and a function.");
    }
    (this._heard[type] = this._heard[type] || []).push(listener);
    return this;
  };
  Emitter.prototype.once = function (type, listener) {
    var self = this;
    return this.on(type, function once(event) {
      self.off(type, once);
      listener(event);
    });
  };
  Emitter.prototype.off = function (type, listener) {
    this._heard[type] = (this._heard[type] || []).filter(function (one) {
      return listener && one !== listener;
    });
    return this;
  };
  Emitter.prototype._emit = function (type, event) {
    (this._heard[type] || []).slice().forEach(function (listener) {
      listener(event);
    });
  };

  /* The frame with the card form, and the talk with it. */

  function PaymentElement(elements, options) {
    Emitter.call(this);
    this._elements = elements;
    this._options = options || {};
    this._frame = null;
    this._ready = false;
    this._waiting = [];
    this._asked = {};
    this._number = 0;
    this._name = "rehearsal-frame-" + ++frames;
    this._onMessage = this._hear.bind(this);
  }
  PaymentElement.prototype = Object.create(Emitter.prototype);

  PaymentElement.prototype.mount = function (place) {
    var host = typeof place === "string" ? document.querySelector(place) : place;
    if (!(host instanceof Element)) {
      throw IntegrationError("The selector you specified (" + place + ") applies to no DOM element on the page.");
    }
    this.unmount();
    var self = this;
    var base = this._elements._stripe._origin;
    var words = WORDS[this._elements._language];
    var frame = document.createElement("iframe");
    frame.name = this._name;
    frame.title = words.frame;
    frame.setAttribute("allow", "payment *");
    frame.setAttribute("scrolling", "no");
    frame.style.border = "0";
    frame.style.display = "block";
    // The frame is a little larger than its place, so that the glow of a focused field is not cut off.
    frame.style.width = "calc(100% + 6px)";
    frame.style.margin = "-3px";
    frame.style.minHeight = "150px";
    frame.style.background = "transparent";
    frame.style.colorScheme = "normal";
    frame.src =
      base +
      "/_elements/payment?locale=" +
      this._elements._language +
      "&origin=" +
      encodeURIComponent(window.location.origin);
    this._frame = frame;
    window.addEventListener("message", this._onMessage);
    // A frame that could not be loaded still fires "load"; it is the silence afterwards that tells.
    this._timer = window.setTimeout(function () {
      if (!self._ready) {
        self._emit("loaderror", {
          elementType: "payment",
          error: { type: "api_connection_error", message: words.offline },
        });
      }
    }, 15000);
    host.replaceChildren(frame);
  };

  PaymentElement.prototype.unmount = function () {
    window.removeEventListener("message", this._onMessage);
    window.clearTimeout(this._timer);
    if (this._frame) {
      this._frame.remove();
    }
    this._frame = null;
    this._ready = false;
  };

  PaymentElement.prototype.destroy = function () {
    this.unmount();
    this._elements._forget(this);
  };

  PaymentElement.prototype.update = function (options) {
    this._options = Object.assign({}, this._options, options);
    this._tell({ type: "options", readOnly: !!this._options.readOnly });
  };

  ["focus", "blur", "clear", "collapse"].forEach(function (name) {
    PaymentElement.prototype[name] = function () {
      this._tell({ type: name });
    };
  });

  PaymentElement.prototype._tell = function (message) {
    if (!this._frame || !this._ready) {
      this._waiting.push(message);
      return;
    }
    this._frame.contentWindow.postMessage(
      Object.assign({ rehearsal: "to-frame" }, message),
      this._elements._stripe._origin
    );
  };

  /* Asks the frame something and promises its answer. */
  PaymentElement.prototype._ask = function (message) {
    var self = this;
    var number = ++this._number;
    return new Promise(function (resolve) {
      self._asked[number] = resolve;
      self._tell(Object.assign({ number: number }, message));
    });
  };

  PaymentElement.prototype._hear = function (event) {
    if (
      !this._frame ||
      event.source !== this._frame.contentWindow ||
      event.origin !== this._elements._stripe._origin ||
      !event.data ||
      event.data.rehearsal !== "from-frame"
    ) {
      return;
    }
    var message = event.data;
    if (message.type === "loaded") {
      this._ready = true;
      window.clearTimeout(this._timer);
      this._frame.contentWindow.postMessage(
        {
          rehearsal: "to-frame",
          type: "init",
          key: this._elements._stripe._key,
          appearance: plain(this._elements._options.appearance),
          readOnly: !!this._options.readOnly,
          types: this._elements._types(),
          fields: plain(this._options.fields),
          defaultValues: plain(this._options.defaultValues),
        },
        this._elements._stripe._origin
      );
      var waiting = this._waiting;
      this._waiting = [];
      waiting.forEach(this._tell, this);
      this._emit("ready", { elementType: "payment" });
    } else if (message.type === "height") {
      var height = Number(message.height);
      if (height > 0 && height < 2000) {
        this._frame.style.height = Math.ceil(height) + "px";
        this._frame.style.minHeight = "0";
      }
    } else if (message.type === "typed") {
      this._elements._submitted = false;
    } else if (message.type === "change") {
      this._emit("change", {
        elementType: "payment",
        empty: !!message.empty,
        complete: !!message.complete,
        collapsed: false,
        value: { type: message.method === "konbini" ? "konbini" : "card" },
      });
    } else if (message.type === "focus" || message.type === "blur") {
      this._emit(message.type, { elementType: "payment" });
    } else if (message.type === "answer" && this._asked[message.number]) {
      this._asked[message.number](message.result);
      delete this._asked[message.number];
    }
  };

  function plain(value) {
    return value === undefined ? null : JSON.parse(JSON.stringify(value));
  }

  /* Elements in deferred mode: made with an amount, before any PaymentIntent. */

  function Elements(stripe, options) {
    this._stripe = stripe;
    this._options = check(options || {});
    this._language = language(this._options.locale || stripe._locale);
    this._payment = null;
    this._submitted = false;
  }

  function check(options) {
    if ("paymentMethodTypes" in options) {
      throw IntegrationError(
        "paymentMethodTypes is no longer supported: use allowedPaymentMethodTypes, or leave it out."
      );
    }
    if (options.clientSecret) {
      throw IntegrationError("The rehearsal offers Elements in deferred mode only: give mode, amount and currency.");
    }
    if (options.mode !== "payment") {
      throw IntegrationError("elements() needs mode: 'payment', the only mode that the rehearsal offers.");
    }
    if (typeof options.amount !== "number" || !(options.amount > 0) || options.amount % 1 !== 0) {
      throw IntegrationError("elements() needs amount, a whole number above 0 in the smallest unit of the currency.");
    }
    if (typeof options.currency !== "string" || options.currency.toLowerCase() !== options.currency) {
      throw IntegrationError("elements() needs currency in lower case, for instance 'jpy'.");
    }
    var allowed = options.allowedPaymentMethodTypes;
    if (allowed && allowed.indexOf("card") < 0 && allowed.indexOf("konbini") < 0) {
      throw IntegrationError("The rehearsal's payment element offers card and konbini; allowedPaymentMethodTypes leaves both out.");
    }
    return options;
  }

  /* The kinds of payment that fit: konbini takes 120 to 300,000 yen, and only when it is asked for. */
  Elements.prototype._types = function () {
    var allowed = this._options.allowedPaymentMethodTypes || ["card"];
    var amount = this._options.amount;
    return allowed.filter(function (type) {
      return type === "card" || (type === "konbini" && amount >= 120 && amount <= 300000);
    });
  };

  Elements.prototype.create = function (type, options) {
    if (type !== "payment") {
      throw IntegrationError("The rehearsal offers the payment element, not '" + type + "'.");
    }
    if (this._payment) {
      throw IntegrationError("Can only create one Element of type payment.");
    }
    this._payment = new PaymentElement(this, options);
    return this._payment;
  };

  Elements.prototype.getElement = function (type) {
    return type === "payment" ? this._payment : null;
  };

  Elements.prototype._forget = function () {
    this._payment = null;
  };

  Elements.prototype.update = function (options) {
    this._options = check(Object.assign({}, this._options, options));
    if (this._payment && ("amount" in options || "allowedPaymentMethodTypes" in options)) {
      this._payment._tell({ type: "types", types: this._types() });
    }
    if (this._payment && options.appearance) {
      this._payment._tell({ type: "appearance", appearance: plain(options.appearance) });
    }
  };

  Elements.prototype.fetchUpdates = function () {
    return Promise.resolve({});
  };

  Elements.prototype.submit = function () {
    var self = this;
    if (!this._payment || !this._payment._frame) {
      return Promise.reject(IntegrationError("elements.submit() needs a mounted payment element."));
    }
    return this._payment._ask({ type: "submit" }).then(function (result) {
      self._submitted = !result.error;
      return result;
    });
  };

  /* Stripe itself. */

  function StripeObject(key, options) {
    if (typeof key !== "string" || key.indexOf("pk_") !== 0) {
      throw IntegrationError("Stripe() needs a publishable key, which begins with pk_. Never put a secret key in a page.");
    }
    this._key = key;
    this._locale = (options || {}).locale;
    var base = (options || {}).apiBase;
    this._origin = base ? new URL(base).origin : origin;
    if (!this._origin) {
      throw IntegrationError("Load this script with a script tag, or give apiBase.");
    }
  }

  StripeObject.prototype.elements = function (options) {
    return new Elements(this, options);
  };

  StripeObject.prototype.createConfirmationToken = function (given) {
    var elements = given && given.elements;
    if (!(elements instanceof Elements) || !elements._payment) {
      return Promise.reject(IntegrationError("createConfirmationToken() needs elements with a mounted payment element."));
    }
    if (!elements._submitted) {
      return Promise.reject(
        IntegrationError(
          "elements.submit() must be called before stripe.createConfirmationToken(), and again after every change."
        )
      );
    }
    return elements._payment._ask({ type: "token", params: plain(given.params) || {} });
  };

  StripeObject.prototype.retrievePaymentIntent = function (clientSecret) {
    var id = intentId(clientSecret);
    if (!id) {
      return Promise.reject(IntegrationError("retrievePaymentIntent() needs the client_secret of a PaymentIntent."));
    }
    var words = WORDS[language(this._locale)];
    return fetch(
      this._origin + "/v1/payment_intents/" + id + "?client_secret=" + encodeURIComponent(clientSecret),
      { headers: { Authorization: "Bearer " + this._key }, credentials: "omit", cache: "no-store" }
    )
      .then(function (response) {
        return response.json();
      })
      .then(function (body) {
        return body.error ? { error: body.error } : { paymentIntent: body };
      })
      .catch(function () {
        return { error: { type: "api_connection_error", message: words.offline } };
      });
  };

  StripeObject.prototype.handleNextAction = function (given) {
    var self = this;
    var clientSecret = given && given.clientSecret;
    return this.retrievePaymentIntent(clientSecret).then(function (found) {
      var intent = found.paymentIntent;
      if (!intent || intent.status !== "requires_action" || !intent.next_action) {
        return found;
      }
      if (intent.next_action.type === "redirect_to_url") {
        window.location.assign(intent.next_action.redirect_to_url.url);
        return new Promise(function () {});
      }
      if (intent.next_action.type === "konbini_display_details") {
        return self._voucher(intent.next_action.konbini_display_details.hosted_voucher_url).then(function () {
          return self.retrievePaymentIntent(clientSecret);
        });
      }
      return self._challenge(intent.next_action.use_stripe_sdk.stripe_js).then(function () {
        return self.retrievePaymentIntent(clientSecret).then(function (after) {
          return outcome(after, language(self._locale));
        });
      });
    });
  };
  StripeObject.prototype.handleCardAction = function (clientSecret) {
    return this.handleNextAction({ clientSecret: clientSecret });
  };

  StripeObject.prototype.registerAppInfo = function () {};

  function outcome(found, lang) {
    var intent = found.paymentIntent;
    if (!intent || intent.status !== "requires_payment_method") {
      return found;
    }
    var error = Object.assign({}, intent.last_payment_error, { payment_intent: intent });
    if (error.code === "payment_intent_authentication_failure") {
      error.message = WORDS[lang].failed;
    }
    return { error: error };
  }

  /* Shows the bank's question in a dialog over the page, and promises that it is over. */
  StripeObject.prototype._challenge = function (url) {
    return this._dialog(url, "challenge", "440px", "520px", "challenge-over", function (frame, base) {
      // Escape means what the page's own cancel button means; the frame then answers for the customer.
      frame.contentWindow.postMessage({ rehearsal: "challenge-cancel" }, base);
    });
  };

  /* Shows the codes for the till in a dialog, and promises that the customer closed it. */
  StripeObject.prototype._voucher = function (url) {
    return this._dialog(url, "voucher", "600px", "860px", "voucher-closed", null);
  };

  StripeObject.prototype._dialog = function (url, name, width, height, over, escape) {
    var base = this._origin;
    var lang = language(this._locale);
    if (new URL(url).origin !== base) {
      return Promise.reject(IntegrationError("This page is not served by the rehearsal."));
    }
    return new Promise(function (resolve) {
      var dialog = document.createElement("dialog");
      var frame = document.createElement("iframe");
      dialog.setAttribute("aria-label", WORDS[lang][name]);
      style(dialog, {
        padding: "0",
        border: "0",
        borderRadius: "14px",
        width: "min(" + width + ", calc(100vw - 24px))",
        maxWidth: "none",
        background: "#fff",
        boxShadow: "0 20px 60px rgba(0,0,0,.35)",
        overflow: "hidden",
      });
      style(frame, { border: "0", display: "block", width: "100%", height: "min(" + height + ", calc(100vh - 48px))" });
      frame.title = WORDS[lang][name];
      frame.src = url + "?locale=" + lang + "&origin=" + encodeURIComponent(window.location.origin);
      dialog.appendChild(frame);

      function done() {
        window.removeEventListener("message", hear);
        dialog.close();
        dialog.remove();
        resolve();
      }
      function hear(event) {
        if (event.source === frame.contentWindow && event.origin === base && event.data && event.data.rehearsal === over) {
          done();
        }
      }
      dialog.addEventListener("cancel", function (event) {
        event.preventDefault();
        if (escape) {
          escape(frame, base);
        } else {
          done();
        }
      });
      window.addEventListener("message", hear);
      document.body.appendChild(dialog);
      dialog.showModal();
      frame.focus();
    });
  };

  function style(node, rules) {
    Object.keys(rules).forEach(function (name) {
      node.style[name] = rules[name];
    });
  }

  function intentId(clientSecret) {
    var found = /^(pi_[A-Za-z0-9]+)_secret_[A-Za-z0-9]+$/.exec(String(clientSecret || ""));
    return found ? found[1] : null;
  }

  window.Stripe = function Stripe(key, options) {
    return new StripeObject(key, options);
  };
  window.Stripe.version = "endive";
})();
