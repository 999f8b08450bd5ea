/* The card form inside the frame. Numbers go from here to the rehearsal, and to nobody else. */
(function () {
  "use strict";

  var page = document.body.dataset;
  var lang = page.lang === "ja" ? "ja" : "en";
  var shop = page.origin;
  var key = null;

  var WORDS = {
    en: {
      number_incomplete: "Your card number is incomplete.",
      number_wrong: "Your card number is invalid.",
      expiry_incomplete: "Your card’s expiration date is incomplete.",
      expiry_past: "Your card’s expiration date is in the past.",
      expiry_wrong: "Your card’s expiration date is invalid.",
      cvc_incomplete: "Your card’s security code is incomplete.",
      cvc_wrong: "Your card’s security code is invalid.",
      live_card: "This is a rehearsal: please use a test card, such as 4242 4242 4242 4242.",
      name_missing: "Please enter your full name.",
      email_missing: "Please enter your email address.",
      email_wrong: "Your email address is invalid.",
      phone_wrong: "Your phone number must have 10 or 11 digits.",
      phone_rejected: "This number cannot be used. Please enter another one, or leave it empty.",
      offline: "We could not reach the payment service. Please check your connection and try again.",
      other: "Something went wrong. Please try again.",
    },
    ja: {
      number_incomplete: "カード番号を最後まで入力してください。",
      number_wrong: "カード番号が正しくありません。",
      expiry_incomplete: "有効期限を最後まで入力してください。",
      expiry_past: "カードの有効期限が過ぎています。",
      expiry_wrong: "有効期限が正しくありません。",
      cvc_incomplete: "セキュリティコードを最後まで入力してください。",
      cvc_wrong: "セキュリティコードが正しくありません。",
      live_card: "これはリハーサルです。4242 4242 4242 4242 などのテストカードをお使いください。",
      name_missing: "お名前を入力してください。",
      email_missing: "メールアドレスを入力してください。",
      email_wrong: "メールアドレスが正しくありません。",
      phone_wrong: "電話番号は10桁または11桁の数字で入力してください。",
      phone_rejected: "この番号は使えません。別の番号を入力するか、空欄にしてください。",
      offline: "決済サービスに接続できませんでした。通信環境をご確認のうえ、もう一度お試しください。",
      other: "問題が発生しました。もう一度お試しください。",
    },
  }[lang];

  /* Brands by their first digits (ISO/IEC 7812 ranges), their lengths and how their numbers are grouped. */
  var BRANDS = [
    { name: "amex", label: "AMEX", starts: /^3[47]/, lengths: [15], groups: [4, 6, 5], cvc: 4 },
    { name: "diners", label: "Diners", starts: /^3(0[0-5]|095|[689])/, lengths: [14, 16], groups: null, cvc: 3 },
    { name: "jcb", label: "JCB", starts: /^35(2[89]|[3-8])/, lengths: [16], groups: [4, 4, 4, 4], cvc: 3 },
    { name: "mastercard", label: "Mastercard", starts: /^(5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, lengths: [16], groups: [4, 4, 4, 4], cvc: 3 },
    { name: "discover", label: "Discover", starts: /^(6011|64[4-9]|65)/, lengths: [16], groups: [4, 4, 4, 4], cvc: 3 },
    { name: "unionpay", label: "UnionPay", starts: /^62/, lengths: [16, 17, 18, 19], groups: [4, 4, 4, 4, 3], cvc: 3 },
    { name: "visa", label: "VISA", starts: /^4/, lengths: [16], groups: [4, 4, 4, 4], cvc: 3 },
  ];
  var UNKNOWN = { name: "unknown", label: "", lengths: [16], groups: [4, 4, 4, 4], cvc: 3 };

  var form = document.getElementById("form");
  var fields = {
    number: document.getElementById("number"),
    expiry: document.getElementById("expiry"),
    cvc: document.getElementById("cvc"),
    name: document.getElementById("name"),
    email: document.getElementById("email"),
    phone: document.getElementById("phone"),
  };
  var PANELS = { card: ["number", "expiry", "cvc"], konbini: ["name", "email", "phone"] };
  var tabs = { card: document.getElementById("tab-card"), konbini: document.getElementById("tab-konbini") };
  var chosen = "card";
  var types = ["card"];
  var asked = { name: true, email: true, phone: true };
  var brandMark = document.getElementById("brand");
  var last = "";

  function tell(message) {
    window.parent.postMessage(Object.assign({ rehearsal: "from-frame" }, message), shop);
  }

  function digits(text) {
    // Full-width digits are what a Japanese keyboard may well produce.
    return text
      .replace(/[０-９]/g, function (wide) {
        return String.fromCharCode(wide.charCodeAt(0) - 0xfee0);
      })
      .replace(/\D/g, "");
  }

  function brandOf(number) {
    for (var i = 0; i < BRANDS.length; i += 1) {
      if (BRANDS[i].starts.test(number)) {
        return BRANDS[i];
      }
    }
    return UNKNOWN;
  }

  function grouped(number, brand) {
    var groups = brand.groups || (number.length > 14 ? [4, 4, 4, 4] : [4, 6, 4]);
    var parts = [];
    var at = 0;
    for (var i = 0; i < groups.length && at < number.length; i += 1) {
      parts.push(number.slice(at, at + groups[i]));
      at += groups[i];
    }
    return parts.join(" ");
  }

  function luhn(number) {
    var sum = 0;
    for (var i = 0; i < number.length; i += 1) {
      var digit = Number(number[number.length - 1 - i]);
      if (i % 2) {
        digit = digit > 4 ? digit * 2 - 9 : digit * 2;
      }
      sum += digit;
    }
    return sum % 10 === 0;
  }

  /* Rewrites a field in its usual shape and keeps the cursor behind the same digit. */
  function reshape(input, shaped) {
    if (input.value === shaped) {
      return;
    }
    var before = digits(input.value.slice(0, input.selectionStart || 0)).length;
    var atEnd = (input.selectionStart || 0) >= input.value.length;
    input.value = shaped;
    var place = shaped.length;
    if (!atEnd) {
      place = 0;
      for (var seen = 0; place < shaped.length && seen < before; place += 1) {
        if (/\d/.test(shaped[place])) {
          seen += 1;
        }
      }
    }
    if (document.activeElement === input) {
      input.setSelectionRange(place, place);
    }
  }

  function shapeNumber() {
    var number = digits(fields.number.value);
    var brand = brandOf(number);
    number = number.slice(0, Math.max.apply(null, brand.lengths));
    reshape(fields.number, grouped(number, brand));
    brandMark.textContent = number ? brand.label : "";
    brandMark.dataset.brand = brand.name;
    fields.cvc.maxLength = brand.cvc;
  }

  function shapeExpiry(erasing) {
    var text = digits(fields.expiry.value);
    if (/^\d{6}$/.test(text)) {
      text = text.slice(0, 2) + text.slice(4); // autofill may write the whole year
    }
    if (/^[2-9]/.test(text)) {
      text = "0" + text;
    }
    text = text.slice(0, 4);
    var shaped = text.length > 2 || (text.length === 2 && !erasing) ? text.slice(0, 2) + " / " + text.slice(2) : text;
    reshape(fields.expiry, shaped);
  }

  /* What is wrong with each field; an empty text means nothing is. */
  var checks = {
    number: function () {
      var number = digits(fields.number.value);
      var brand = brandOf(number);
      if (brand.lengths.indexOf(number.length) < 0) {
        return ["incomplete_number", WORDS.number_incomplete];
      }
      return luhn(number) ? null : ["invalid_number", WORDS.number_wrong];
    },
    expiry: function () {
      var text = digits(fields.expiry.value);
      if (text.length < 4) {
        return ["incomplete_expiry", WORDS.expiry_incomplete];
      }
      var month = Number(text.slice(0, 2));
      var year = 2000 + Number(text.slice(2));
      var now = new Date();
      if (month < 1 || month > 12 || year > now.getFullYear() + 50) {
        return ["invalid_expiry_year", WORDS.expiry_wrong];
      }
      if (year * 12 + month < now.getFullYear() * 12 + now.getMonth() + 1) {
        return ["invalid_expiry_year_past", WORDS.expiry_past];
      }
      return null;
    },
    cvc: function () {
      var wanted = brandOf(digits(fields.number.value)).cvc;
      return digits(fields.cvc.value).length === wanted ? null : ["incomplete_cvc", WORDS.cvc_incomplete];
    },
    name: function () {
      return !asked.name || fields.name.value.trim() ? null : ["incomplete_name", WORDS.name_missing];
    },
    email: function () {
      var text = fields.email.value.trim();
      if (!asked.email || /^[^@\s]+@[^@\s]+$/.test(text)) {
        return null;
      }
      return text ? ["invalid_email", WORDS.email_wrong] : ["incomplete_email", WORDS.email_missing];
    },
    phone: function () {
      var number = digits(fields.phone.value);
      return !asked.phone || !fields.phone.value.trim() || (/^\d{10,11}$/.test(number) && /[1-9]/.test(number))
        ? null
        : ["invalid_phone", WORDS.phone_wrong];
    },
  };

  function show(name, message) {
    var input = fields[name];
    var place = document.getElementById(name + "-error");
    if (place.textContent !== message) {
      place.textContent = message;
    }
    input.closest(".field").classList.toggle("wrong", !!message);
    if (message) {
      input.setAttribute("aria-invalid", "true");
    } else {
      input.removeAttribute("aria-invalid");
    }
    measure();
  }

  function changed() {
    var names = PANELS[chosen];
    var state = {
      empty: names.every(function (name) {
        return !fields[name].value;
      }),
      complete: names.every(function (name) {
        return !checks[name]();
      }),
      method: chosen,
    };
    tell({ type: "typed" });
    var now = JSON.stringify(state);
    if (now !== last) {
      last = now;
      tell({ type: "change", empty: state.empty, complete: state.complete, method: chosen });
    }
  }

  function measure() {
    tell({ type: "height", height: Math.ceil(form.getBoundingClientRect().height) });
  }

  Object.keys(fields).forEach(function (name) {
    var input = fields[name];
    input.addEventListener("input", function (event) {
      var erasing = /^delete/.test(event.inputType || "");
      if (name === "number") {
        shapeNumber();
      } else if (name === "expiry") {
        shapeExpiry(erasing);
      } else if (name === "cvc") {
        reshape(input, digits(input.value));
      }
      show(name, "");
      changed();
      moveOn(name, erasing);
    });
    input.addEventListener("blur", function () {
      // While it is being typed nothing is wrong yet; once it is left behind, say what is. A moment later, so
      // that the button which took the focus is not moved away under the finger that presses it.
      window.setTimeout(function () {
        if (input.value && document.activeElement !== input) {
          var wrong = checks[name]();
          show(name, wrong ? wrong[1] : "");
        }
      }, 250);
      tell({ type: "blur" });
    });
    input.addEventListener("focus", function () {
      tell({ type: "focus" });
    });
  });

  function moveOn(name, erasing) {
    var next = { number: fields.expiry, expiry: fields.cvc }[name];
    if (next && !erasing && document.activeElement === fields[name] && !next.value && !checks[name]()) {
      next.focus();
    }
  }

  form.addEventListener("submit", function (event) {
    event.preventDefault();
  });

  function submit() {
    var first = null;
    PANELS[chosen].forEach(function (name) {
      var wrong = checks[name]();
      show(name, wrong ? wrong[1] : "");
      if (wrong && !first) {
        first = { name: name, code: wrong[0], message: wrong[1] };
      }
    });
    if (!first) {
      return { selectedPaymentMethod: chosen };
    }
    fields[first.name].focus();
    return { error: { type: "validation_error", code: first.code, message: first.message } };
  }

  function encode(into, name, value) {
    if (value === null || value === undefined) {
      return;
    }
    if (typeof value === "object") {
      Object.keys(value).forEach(function (inner) {
        encode(into, name ? name + "[" + inner + "]" : inner, value[inner]);
      });
    } else {
      into.append(name, String(value));
    }
  }

  var FIELD_OF = { number: "number", exp_month: "expiry", exp_year: "expiry", cvc: "cvc" };
  var WORD_OF = {
    incorrect_number: WORDS.number_wrong,
    invalid_number: WORDS.number_wrong,
    invalid_expiry_month: WORDS.expiry_wrong,
    invalid_expiry_year: WORDS.expiry_past,
    invalid_cvc: WORDS.cvc_wrong,
    incorrect_cvc: WORDS.cvc_wrong,
  };

  /* What was entered, as the API takes it: the shop's own details, and over them the customer's. */
  function entered(params) {
    var given = params.payment_method_data || {};
    if (chosen === "card") {
      var expiry = digits(fields.expiry.value);
      return {
        payment_method_data: Object.assign({}, given, {
          type: "card",
          card: {
            number: digits(fields.number.value),
            exp_month: expiry.slice(0, 2),
            exp_year: "20" + expiry.slice(2),
            cvc: digits(fields.cvc.value),
          },
        }),
      };
    }
    var billing = Object.assign({}, given.billing_details);
    PANELS.konbini.forEach(function (name) {
      if (asked[name] && fields[name].value.trim()) {
        billing[name] = fields[name].value.trim();
      }
    });
    var more = { payment_method_data: Object.assign({}, given, { type: "konbini", billing_details: billing }) };
    var number = asked.phone ? digits(fields.phone.value) : "";
    if (number) {
      more.payment_method_options = { konbini: { confirmation_number: number } };
    }
    return more;
  }

  function token(params) {
    var body = new URLSearchParams();
    encode(body, "", Object.assign({}, params, entered(params)));
    return fetch("/v1/confirmation_tokens", {
      method: "POST",
      headers: { Authorization: "Bearer " + key },
      body: body,
      credentials: "omit",
    })
      .then(function (response) {
        return response.json();
      })
      .then(function (answer) {
        if (!answer.error) {
          return { confirmationToken: answer };
        }
        var error = answer.error;
        if (error.type === "card_error") {
          error.message = error.decline_code === "test_mode_live_card" ? WORDS.live_card : WORD_OF[error.code] || error.message;
          var name = FIELD_OF[error.param];
          if (name) {
            show(name, error.message);
            fields[name].focus();
          }
        } else if (chosen === "konbini" && /confirmation_number/.test(error.param || "")) {
          error.message = WORDS.phone_rejected;
          show("phone", error.message);
          fields.phone.focus();
        } else if (chosen === "konbini" && error.code === "email_invalid") {
          error.message = WORDS.email_wrong;
          show("email", error.message);
          fields.email.focus();
        }
        return { error: error };
      })
      .catch(function () {
        return { error: { type: "api_connection_error", message: WORDS.offline } };
      });
  }

  /* The shop's look: colours, font and roundness; anything else in `appearance` is left out. */
  var LOOKS = {
    colorPrimary: ["--primary", "color"],
    colorText: ["--text", "color"],
    colorTextSecondary: ["--soft", "color"],
    colorDanger: ["--danger", "color"],
    colorBackground: ["--surface", "color"],
    borderRadius: ["--radius", "border-radius"],
    fontSizeBase: ["--size", "font-size"],
    fontFamily: ["--font", "font-family"],
    spacingUnit: ["--gap", "width"],
  };

  function dress(appearance) {
    var root = document.documentElement;
    var given = (appearance && appearance.variables) || {};
    root.dataset.theme = appearance && appearance.theme === "night" ? "night" : "day";
    Object.keys(LOOKS).forEach(function (name) {
      var value = String(given[name] || "");
      if (value && value.length < 200 && CSS.supports(LOOKS[name][1], value)) {
        root.style.setProperty(LOOKS[name][0], name === "spacingUnit" ? "calc(" + value + " * 3)" : value);
      }
    });
    measure();
  }

  function enable(readOnly) {
    Object.keys(fields).forEach(function (name) {
      fields[name].disabled = readOnly;
    });
    Object.keys(tabs).forEach(function (name) {
      tabs[name].disabled = readOnly;
    });
  }

  /* Card or konbini: tabs when there is a choice, as in Stripe's payment element. */
  function choose(type, byHand) {
    chosen = type;
    Object.keys(tabs).forEach(function (name) {
      tabs[name].setAttribute("aria-selected", name === type ? "true" : "false");
      tabs[name].tabIndex = name === type ? 0 : -1;
      document.getElementById("panel-" + name).hidden = name !== type;
    });
    measure();
    if (byHand) {
      changed();
    }
  }

  function offer(given) {
    types = ["card", "konbini"].filter(function (type) {
      return (given || ["card"]).indexOf(type) >= 0;
    });
    Object.keys(tabs).forEach(function (name) {
      tabs[name].hidden = types.indexOf(name) < 0;
      document.getElementById("panel-" + name).setAttribute("role", types.length > 1 ? "tabpanel" : "group");
      document.getElementById("panel-" + name).setAttribute("aria-labelledby", "tab-" + name);
    });
    tabs.card.parentNode.hidden = types.length < 2;
    var before = chosen;
    choose(types.indexOf(chosen) < 0 ? types[0] : chosen, false);
    if (before !== chosen) {
      changed();
    }
  }

  /* Which details the shop brings itself, and what it already knows. */
  function collect(wish, known) {
    var billing = (wish || {}).billingDetails;
    PANELS.konbini.forEach(function (name) {
      asked[name] = billing !== "never" && !(billing && billing[name] === "never");
      fields[name].closest(".field").hidden = !asked[name];
      if (asked[name] && !fields[name].value && known && known.billingDetails && known.billingDetails[name]) {
        fields[name].value = String(known.billingDetails[name]);
      }
    });
  }

  Object.keys(tabs).forEach(function (name) {
    tabs[name].addEventListener("click", function () {
      if (chosen !== name) {
        choose(name, true);
      }
    });
    tabs[name].addEventListener("keydown", function (event) {
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        event.preventDefault();
        var other = name === "card" ? "konbini" : "card";
        choose(other, true);
        tabs[other].focus();
      }
    });
  });

  window.addEventListener("message", function (event) {
    if (event.source !== window.parent || event.origin !== shop || !event.data || event.data.rehearsal !== "to-frame") {
      return;
    }
    var message = event.data;
    function reply(result) {
      tell({ type: "answer", number: message.number, result: result });
    }
    if (message.type === "init") {
      key = String(message.key);
      dress(message.appearance);
      enable(!!message.readOnly);
      collect(message.fields, message.defaultValues);
      offer(message.types);
    } else if (message.type === "types") {
      offer(message.types);
    } else if (message.type === "appearance") {
      dress(message.appearance);
    } else if (message.type === "options") {
      enable(!!message.readOnly);
    } else if (message.type === "submit") {
      reply(submit());
    } else if (message.type === "token") {
      token(message.params || {}).then(reply);
    } else if (message.type === "focus") {
      fields[PANELS[chosen][0]].focus();
    } else if (message.type === "blur") {
      document.activeElement.blur();
    } else if (message.type === "clear") {
      Object.keys(fields).forEach(function (name) {
        fields[name].value = "";
        show(name, "");
      });
      shapeNumber();
      changed();
    }
  });

  new ResizeObserver(measure).observe(form);
  if (window.parent !== window && shop) {
    tell({ type: "loaded" });
    measure();
  }
})();
